#!/usr/bin/env nu
# Rehearses a restore with the newest sound backup in a folder (of each cluster, if the folder has several), and exits 0 only
# when a cluster came out of it that holds what the backup holds.
#
# When: by the clock, for example every night after a backup, and before an upgrade with --etcd of the version to come. A
#   backup that was never restored is a hope. The time that it prints is the time that a recovery takes on this machine.
# Needs: the plugin, etcd's program on this machine (ETCDSH_ETCD_DIR, or `cargo xtask setup`), and room for a copy of the data
#   for each member. No cluster is asked: it can run on another machine, on a copy of the folder.
# The throwaway cluster is gone afterwards, whatever happens.

def main [
    folder: path # The folder that scripts/backup.nu writes to.
    --etcd: string # The etcd to run, such as 3.6, or a path; without it, the line that the backup is of.
    --members: int = 1 # How many members the cluster has.
    --wait: duration = 2min # How long the members may take until they serve.
    --dry-run # Show which backup would be taken, and start nothing.
]: nothing -> nothing {
    let listed = etcd backup list $folder
    for row in ($listed | where error != null) { print --stderr $"warning: ($row.path) was left out: ($row.error)" }
    # The newest come first.
    let newest = $listed | where verified and error == null | uniq-by cluster_id
    if ($newest | is-empty) { error make {msg: $"there is no sound backup in ($folder)"} }
    let went_well = $newest | each {|backup|
        print $"($backup.path), of ($backup.time), revision ($backup.revision)"
        if $dry_run { return true }
        try {
            let drill = etcd snapshot drill $backup.path --etcd $etcd --members $members --wait $wait
            for check in $drill.checks {
                print $"  (if $check.ok { 'ok' } else { 'WRONG' }) ($check.check): expected ($check.expected), found ($check.found)"
            }
            print $"  etcd ($drill.etcd) served it after ($drill.recovery)"
            $drill.ok
        } catch {|error|
            # The backups of other clusters are rehearsed all the same.
            print --stderr $"error: ($backup.path): ($error.rendered)"
            false
        }
    }
    let all_ok = $went_well | all {|ok| $ok }
    if $dry_run {
        print "dry run: nothing was started"
    } else if $all_ok {
        print "the rehearsal went well"
    } else {
        print "the rehearsal FAILED"
        exit 1
    }
}
