#!/usr/bin/env nu
# Recovers a single unhealthy member of a sandbox, step by step, as the runbook's chapter does: stop, remove, check the rest,
# add, move the data dir aside, start, wait until it is healthy.
#
# When: one member is down or broken, and the others have a quorum.
# Try it: etcd sandbox start; etcd sandbox break infra2 --how stale-data; nu scripts/recover-member.nu infra2
# It never deletes data: the old data dir is moved aside, and its new name is printed.

def main [
    member: string # The member to recover, by its name.
    --sandbox: string = "sandbox" # The sandbox that it belongs to, which is the name of its profile too.
    --dry-run # Show what would be done, and change nothing.
]: nothing -> nothing {
    $env.ETCDSH_PROFILE = $sandbox

    step "how the members are"
    let health = etcd health
    print ($health | select name role verdict error)
    let sick = $health | where name == $member
    if ($sick | is-empty) { error make {msg: $"no member is named ($member)"} }
    if $sick.0.verdict == healthy { error make {msg: $"($member) is healthy; there is nothing to recover"} }

    step $"may ($member) be removed?"
    let can = etcd can remove $member
    print ($can | select allowed server_accepts quorum_after tolerance_after)
    if not $can.allowed { error make {msg: $"no: ($can.refusals | get message | str join '; ')"} }
    let old = etcd member list | where name == $member | first
    if $dry_run {
        print (etcd member remove $member --dry-run | get plan)
        print "dry run: nothing was changed"
        return
    }

    step $"stop ($member)"
    etcd sandbox stop $member --name $sandbox | ignore

    step $"remove ($member)"
    print (etcd member remove $member | get steps)

    step "check that the rest is healthy"
    let rest = etcd quorum
    print ($rest | select verdict voters healthy_voters quorum)
    if $rest.verdict != healthy { error make {msg: $"the other members are ($rest.verdict); look at them first"} }

    step $"add ($member) again, as a learner"
    let added = etcd member add $member --peer-urls $old.peer_urls
    print $added.start
    print (etcd member list | select member_id name status is_learner)

    step "move the old data dir aside"
    print (etcd sandbox wipe $member --name $sandbox)

    step $"start ($member)"
    etcd sandbox join $member --initial-cluster $added.start.ETCD_INITIAL_CLUSTER --name $sandbox | ignore

    step $"give ($member) its vote when it has caught up"
    print (etcd member promote $added.member_id | get steps)

    step "how the members are"
    print (etcd health | select name role verdict)
    let quorum = etcd quorum
    if $quorum.verdict != healthy { error make {msg: $"the cluster is ($quorum.verdict)"} }
    print $"($member) is healthy"
}

def step [text: string]: nothing -> nothing {
    print $"\n== ($text)"
}
