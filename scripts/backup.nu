#!/usr/bin/env nu
# Saves a backup into a folder, checks it, and removes those that need not be kept any more.
#
# When: by the clock, for example every hour, and before every change of a cluster by hand; copy the folder to another machine
#   afterwards, and rehearse a restore now and then (scripts/drill.nu).
# Needs: the plugin, and a cluster that is chosen by --profile, ETCDCTL_ENDPOINTS or the configuration.
# Each backup has a file of JSON beside it that tells what it is. Of a period the last backup is kept, periods without one do
# not count, and the newest one that was found sound always stays. Without any rule (all of them 0) nothing is removed. It holds
# every secret of the cluster, and its owner alone can read it.

def main [
    folder: path # Where to put it; the folder is made if it is not there.
    --keep-last: int = 3 # Keep this many of the last ones.
    --keep-hourly: int = 24 # Keep one of each of this many hours.
    --keep-daily: int = 7 # Keep one of each of this many days.
    --keep-weekly: int = 5 # Keep one of each of this many weeks.
    --keep-monthly: int = 12 # Keep one of each of this many months.
    --profile: string # The profile to use.
    --dry-run # Show what would be removed, and save and remove nothing.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    let report = (etcd backup run $folder
        --keep-last $keep_last --keep-hourly $keep_hourly --keep-daily $keep_daily
        --keep-weekly $keep_weekly --keep-monthly $keep_monthly --dry-run=$dry_run)
    let saved = $report.saved
    if $saved != null {
        print $saved.path
        print $"size ($saved.size), revision ($saved.revision), from ($saved.member)"
        print $"sha256 ($saved.sha256)"
    }
    for row in $report.removed { print $"(if $dry_run { 'would be removed' } else { 'removed' }): ($row.path)" }
    for row in ($report.kept | where error != null) { print --stderr $"warning: ($row.path) counts for none: ($row.error)" }
    print $"backups of this cluster in the folder: ($report.kept | where error == null | length)"
    if $dry_run { print "dry run: nothing was saved" }
}
