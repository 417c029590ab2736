#!/usr/bin/env nu
# Saves a snapshot of the store into a folder, under a name that tells what it is: cluster id, revision and time (UTC).
#
# When: before every change of a cluster by hand, and by the clock; copy the file to another machine afterwards.
# Needs: the plugin, and a cluster that is chosen by --profile, ETCDCTL_ENDPOINTS or the configuration.
# It never replaces a file. A file of that name is whole: it was checked while it was written. It holds every secret of the
# cluster, and its owner alone can read it.

def main [
    folder: path # Where to put it; the folder must be there.
    --profile: string # The profile to use.
    --dry-run # Show the name, and save nothing.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    let cluster = etcd quorum
    if $cluster.verdict != healthy { print --stderr $"warning: the cluster is ($cluster.verdict); see `etcd health`" }
    # What is written meanwhile may be in the file too, so it holds this revision or a newer one.
    let time = date now | date to-timezone UTC | format date "%Y%m%dT%H%M%SZ"
    let path = $folder | path join $"($cluster.cluster_id)-r($cluster.revision)-($time).db"
    if $dry_run {
        print $path
        print "dry run: nothing was saved"
        return
    }
    let saved = etcd snapshot save $path
    print $saved.path
    print $"size ($saved.size), revision ($saved.revision) or newer, from ($saved.member)"
    print $"sha256 ($saved.sha256)"
}
