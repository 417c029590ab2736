#!/usr/bin/env nu
# Recovers a single unhealthy member: a new one takes its place, under its name and address, and its data are moved aside.
#
# When: one member is down or broken, and the others have a quorum. `etcd health` names the member and, where its log can be
#   read, what is wrong with it.
# Needs: the plugin, a cluster that is chosen by --profile, ETCDCTL_ENDPOINTS or the configuration, and a profile that says
#   under `hosts` how its processes are reached (docs/hosts.md); that of a sandbox does.
# Try it: etcd sandbox start; etcd sandbox break infra2 --how stale-data; nu scripts/recover-member.nu infra2 --profile sandbox
# It never deletes data: where the old data lie is printed. After an interruption `etcd change list` names the run, and
# `etcd change resume` goes on with it. This script can be run again instead where the hosts of the profile have
# `peer_urls`, as those of a sandbox do; else it does not know any more whom it has removed.

def main [
    member: string # The member to recover: its name, id or one of its URLs.
    --profile: string # The profile to use.
    --wait: duration = 5min # How long each step may take; the new member has to copy all data.
    --dry-run # Show the plan and what speaks against it, and change nothing.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    print (etcd health | select name role verdict error)
    let report = etcd member replace $member --wait $wait --dry-run=$dry_run
    if $dry_run {
        print ($report.plan | select number step target reason)
        if not $report.ok { error make {msg: $"it would be refused: ($report.refusals.message | str join '; ')"} }
        print "dry run: nothing was changed"
        return
    }
    print ($report.steps | select step target outcome detail)
    print $"($member) is healthy"
}
