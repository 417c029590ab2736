#!/usr/bin/env nu
# Restarts the members one after the other, or reboots their machines: followers first, and the leader last.
#
# When: after a change of etcd's settings, certificates or program, or to reboot the machines.
# Needs: the plugin, and a cluster that is chosen by --profile, ETCDCTL_ENDPOINTS or the configuration. How a member is
# restarted says the profile under `hosts` (docs/hosts.md), or else --reboot, for example
#   --reboot 'ssh {name} sudo systemd-run --on-active=2 systemctl reboot'
# Its words are separated by blanks, no shell reads them, and {name} and {member_id} are the member's. If it fails, nothing
# more is done. A reboot must begin within --wait. After an interruption `etcd change list` names the run, and
# `etcd change resume` goes on with it.

def main [
    --reboot: string # The command that restarts a member, or its machine.
    --members: string # Only these members, separated by commas.
    --settle: duration = 30sec # For how long a member must have served before the next one.
    --wait: duration = 15min # How long a member may take to go away and to come back.
    --profile: string # The profile to use.
    --dry-run # Show the order and what speaks against it, and change nothing.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    let members = if $members != null { $members | split row "," | where $it != "" }
    let report = if $reboot == null {
        etcd rolling-restart --members $members --settle $settle --wait $wait --dry-run=$dry_run
    } else {
        let restart = {|member| order $reboot $member }
        etcd rolling-restart $restart --members $members --settle $settle --wait $wait --dry-run=$dry_run
    }
    if $dry_run {
        print ($report.plan | select number step target reason)
        if not $report.ok { error make {msg: $"it would be refused: ($report.refusals.message | str join '; ')"} }
        print "dry run: nothing was changed"
        return
    }
    print ($report.steps | select step target outcome took)
    print $"the cluster is ($report.after.verdict)"
}

# Runs the command for a member, to its end.
def order [command: string, member: record]: nothing -> nothing {
    # It comes from the cluster, and must not become an option of the command.
    if ($member.name | str starts-with "-") { error make {msg: $"the name ($member.name) is not fit for a command"} }
    let fill = {|word| $word | str replace --all "{name}" $member.name | str replace --all "{member_id}" $member.member_id }
    let words = $command | split row --regex '\s+' | where $it != "" | each $fill
    print ($words | str join " ")
    let done = run-external ...$words | complete
    if $done.exit_code != 0 { error make {msg: $"($words.0) ended with ($done.exit_code): ($done.stderr | str trim)"} }
}
