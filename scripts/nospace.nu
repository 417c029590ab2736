#!/usr/bin/env nu
# Makes a cluster that ran out of space take writes again: snapshot, compaction, defragmentation of one member after the other,
# alarms taken back, and a write that proves it.
#
# When: writes fail with `etcdserver: mvcc: database space exceeded`, or `etcd alarm list` shows NOSPACE. Run it dry first: it
#   tells what eats the space. What the newest values fill only deleting keys or a larger quota can help.
# Needs: the plugin, and a cluster that is chosen by --profile, ETCDCTL_ENDPOINTS or the configuration.
# It forgets older values of keys and nothing that can be read now; the snapshot, whose place is printed, has them still.

def main [
    --keep: int = 0 # How many revisions stay, counted back from the newest.
    --quota: filesize # The quota of the databases, where the servers do not tell it (before 3.6).
    --wait: duration = 10min # How long each step may take.
    --profile: string # The profile to use.
    --dry-run # Show the plan and what eats the space, and change nothing.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    print (etcd alarm list)
    let report = etcd space recover --keep $keep --quota $quota --wait $wait --dry-run=$dry_run
    if $dry_run {
        print ($report.plan | select number step target reason)
        if not $report.ok { error make {msg: $"it would be refused: ($report.refusals.message | str join '; ')"} }
        print "dry run: nothing was changed"
        return
    }
    print ($report.steps | select step target outcome detail)
    print "the cluster takes writes"
}
