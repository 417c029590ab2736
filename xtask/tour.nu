# The tour of `cargo xtask try`: from a healthy cluster through a broken member and back, on the sandbox of that name.
# Each command is printed before it runs, as it could be typed. The first one that fails ends the tour.

# Says what comes, shows the command, runs it, shows and returns what it gives.
def step [what: string, command: closure] {
    let lines = view source $command | str replace --regex '^\{\|\|' '' | str replace --regex '\}$' '' | str trim | lines
    let source = $lines | str trim | str join "\n  "
    print $"\n# ($what)"
    print $"> (if (config use-colors) { $source | nu-highlight } else { $source })"
    let result = do $command
    print $result
    $result
}

# Ends the tour when the cluster is not as the text says it is.
def expect [what: string, so: bool] {
    if not $so { error make --unspanned {msg: $"the tour expected that ($what)"} }
}

step "Is every member well? Each has a row, also one that does not answer." {||
    etcd health | select name role verdict latency error
} | ignore
let before = step "How many members may fail?" {|| etcd quorum }
expect "the new cluster is healthy" $before.healthy

step "A backup first. It is checked while it is written, and has its name only when it is whole." {||
    etcd snapshot save tour.db --force
} | ignore

step "Now infra2 is put back to an old copy of its disk, as a restored virtual machine is." {||
    etcd sandbox break infra2 --how stale-data | select name state exit_code last_log
} | ignore
step "What does the cluster say?" {||
    etcd health | select name role verdict error
} | ignore
let broken = step "There is a quorum still, but no further member may fail." {||
    etcd quorum | select verdict voters healthy_voters quorum tolerance
}
expect "the cluster is degraded" ($broken.verdict == degraded)

let healthy = step "May a healthy member be removed now? No change is made; this only asks." {||
    etcd can remove infra1 | get refusals | select code message
}
expect "the removal of a healthy member is refused" ($healthy | is-not-empty)
let dead = step "And the broken one?" {||
    etcd can remove infra2 | select allowed member quorum_after tolerance_after
}
expect "the removal of the broken member is allowed" $dead.allowed

step "So a new one takes its place. What would be done?" {||
    etcd member replace infra2 --dry-run | get plan | select number step target
} | ignore
step "It gets a vote only when it has caught up, and the old data are moved aside, never deleted." {||
    etcd member replace infra2 | get steps | select step target outcome took
} | ignore
step "What was done is written down; a change that is interrupted is gone on with by `etcd change resume`." {||
    etcd change list | first | select operation state done steps
} | ignore

step "Every member is well again." {||
    etcd health | select name role verdict latency error
} | ignore
let after = step "One may fail again." {||
    etcd quorum | select verdict voters healthy_voters quorum tolerance
}
expect "the cluster is healthy again" ($after.verdict == healthy)
