#!/usr/bin/env nu
# Prints the runbook's health lines, and exits 0 only when the cluster is healthy.
#
# When: first of all, whenever something is wrong; and in a check that runs by the clock.
# Needs: the plugin, and a cluster that is chosen by --profile, ETCDCTL_ENDPOINTS or the configuration.

def main [
    --profile: string # The profile to use.
]: nothing -> nothing {
    if $profile != null { $env.ETCDSH_PROFILE = $profile }
    let members = etcd member list
    let health = etcd health
    for row in $health {
        let urls = $members | where member_id == $row.member_id | get 0?.client_urls | default []
        print (match $row.verdict {
            healthy => $"member ($row.member_id) is healthy: got healthy result from ($row.endpoint)"
            degraded => $"member ($row.member_id) is unhealthy: got unhealthy result from ($row.endpoint): ($row.error)"
            unstarted => $"member ($row.member_id) is unreachable: no available published client urls"
            _ => $"member ($row.member_id) is unreachable: [($urls | str join ' ')] are all unreachable"
        })
    }
    if ($health | all {|row| $row.verdict == healthy }) {
        print "cluster is healthy"
    } else {
        print "cluster is degraded"
        exit 1
    }
}
