#!/usr/bin/env nu
# Makes a cluster that is lost again out of a backup, on all its machines: stops what is left of it, moves the old data aside, puts
# the new data in place, starts all members and compares them.
#
# When: the quorum is gone for good, or the data are. A single member that is down is a case for recover-member; a cluster that still
#   serves is left alone unless --allow cluster_serves says so, because all that was written since the backup is lost.
# Needs: the plugin, and a profile that says under `hosts` how the members' machines are reached.
# What was interrupted is gone on with by the same call with the token that the error names. Rehearse it before with drill.nu.

def main [
    backup: path # A snapshot (a file that ends in .db), or a folder of backups, of which the newest sound one is taken.
    --at: datetime # Of a folder, the newest one of this time or before.
    --token: string # The token of a restore that was interrupted.
    --allow: string # What to do in spite of a doubt: cluster_serves, member_answers.
    --profile: string # The profile to use.
    --target-version: string # The etcd that is to start with it, such as 3.6, where it is another one than the backup is of.
    --scrub-alarms # Leave the alarms of the backup out.
    --dry-run # Look at everything, show what would be done, and change nothing.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    let file = if ($backup | str ends-with .db) { $backup } else {
        let sound = etcd backup list $backup --at $at | where verified and error == null
        if ($sound | is-empty) { error make {msg: $"there is no sound backup in ($backup)"} }
        if ($sound | get cluster_id | uniq | length) > 1 {
            error make {msg: $"there are backups of several clusters in ($backup); name the file"}
        }
        print $"($sound.0.path), of ($sound.0.time), revision ($sound.0.revision)"
        $sound.0.path
    }
    let allowed = if $allow == null { [] } else { $allow | split row "," }
    let plan = (
        etcd snapshot restore plan $file --hosts --dry-run=$dry_run --initial-cluster-token $token --allow $allowed
            --target-version $target_version --scrub-alarms=$scrub_alarms
    )
    print $"revision ($plan.snapshot_revision), raised by ($plan.bump_revision)"
    for member in $plan.members {
        let aside = if $member.data_dir_aside == null { "" } else { $", old data in ($member.data_dir_aside)" }
        print $"($member.name) at ($member.peer_urls.0): ($member.outcome | default 'to be restored')($aside)"
    }
    for text in $plan.advice { print $"note: ($text)" }
    if $dry_run {
        print "dry run: nothing was changed"
        return
    }
    for check in $plan.checks {
        print $"(match $check.ok { true => 'ok', false => 'WRONG', _ => 'not compared' }) ($check.check): expected ($check.expected), found ($check.found)"
    }
    if not $plan.ok { exit 1 }
    print $"the cluster ($plan.cluster_id) serves"
}
