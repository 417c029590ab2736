//! Looking at a cluster: the only place where core asks the members how they are. All are asked at once, and a member that does
//! not answer costs its own row and nobody else's time.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};

use crate::change::view::{Answered, ClusterView, Facts, Failure, HostSeen, Hosting, MemberView};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::{Result, Sent};
use crate::host::{Data, Host, HostView, Process};
use crate::id::MemberId;
use crate::member::{Member, Membership};
use crate::rpc::{Alarm, AlarmKind, Cluster, Consistency, Node, Status};
use crate::wait::sleep;

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What each member says about itself.
    Status,
    /// Also whether it serves reads.
    Reads,
}

/// Looks at a cluster.
///
/// What a single member last knew is there at once and says whom to ask; whether a quorum confirms it is asked at the same
/// time. So neither a lost quorum nor a frozen member makes the answer take longer than one bound. The members that were there
/// at the last look are asked without waiting for the list.
///
/// # Errors
/// No endpoint answered at all, or the endpoints belong to different clusters.
pub async fn observe(cluster: &Arc<Cluster>, depth: Depth) -> Result<ClusterView> {
    let deadline = cluster.deadline();
    let remembered = cluster.members();
    let quick = async {
        if remembered.is_empty() {
            let list = cluster.membership(Consistency::Serializable, deadline).await?;
            let views = ask_all(cluster, &list.members, depth, deadline).await?;
            return Ok::<_, crate::Error>((list, views));
        }
        let list = cluster.membership(Consistency::Serializable, deadline);
        let (list, views) = join(list, ask_all(cluster, &remembered, depth, deadline)).await;
        let (list, mut views) = (list?, views?);
        follow(cluster, &remembered, &list, &mut views, depth, deadline).await?;
        Ok((list, views))
    };
    let (quick, confirmed) = join(quick, cluster.membership(Consistency::Linearizable, deadline)).await;
    let (list, mut views) = quick?;
    // Where all endpoints lead to members that are cut off, the others may be a quorum, and are known only now.
    let elsewhere = |m: &MemberView| {
        let endpoint = m.endpoint.as_ref().filter(|endpoint| !cluster.seeds().contains(endpoint));
        endpoint.is_some() && m.known().is_some_and(|status| status.leader.is_some())
    };
    let confirmed = match confirmed {
        Err(error) if error.code() != "cluster_mismatch" && views.iter().any(elsewhere) => {
            cluster.membership(Consistency::Linearizable, cluster.deadline()).await
        }
        confirmed => confirmed,
    };
    let confirmed = match confirmed {
        Ok(newer) => {
            follow(cluster, &list.members, &newer, &mut views, depth, cluster.deadline()).await?;
            true
        }
        // A mixture of clusters is no lack of a quorum.
        Err(error) if error.code() == "cluster_mismatch" => return Err(error),
        Err(_) => false,
    };
    views.sort_by(|a, b| {
        (!a.member.started(), &a.member.name, a.member.id).cmp(&(!b.member.started(), &b.member.name, b.member.id))
    });
    let alarms = alarms(&views);
    Ok(ClusterView {
        cluster_id: list.cluster_id,
        confirmed,
        members: views,
        alarms,
        hosting: Hosting::Nobody,
        facts: Facts::default(),
    })
}

/// Looks at the hosts of these members, as far as the profile says how.
///
/// # Errors
/// What the profile says of a host cannot be used. A host that does not answer is no error: it is what was seen of it.
pub async fn observe_hosts(ctx: &Context<'_>, names: &[String]) -> Result<Hosting> {
    let profile = ctx.cluster()?.profile();
    let mut looks = Vec::new();
    for name in names {
        if let Some(host) = Host::of(profile, ctx.places(), name)? {
            looks.push(look_at_host(ctx, name.clone(), host));
        }
    }
    Ok(if looks.is_empty() { Hosting::Nobody } else { Hosting::Drivers(join_all(looks).await) })
}

async fn look_at_host(ctx: &Context<'_>, name: String, host: Host) -> HostSeen {
    let view = host.look(ctx).await.unwrap_or_else(|error| HostView {
        name,
        process: Process::Unknown,
        data: Data::Unknown(error.in_one_line()),
        called: None,
    });
    HostSeen { view, peer_urls: host.peer_urls(), about: host.describe() }
}

/// The newer list is the truth: members that it does not have are dropped, and those that only it has are asked too.
async fn follow(
    cluster: &Arc<Cluster>,
    asked: &[Member],
    newer: &Membership,
    views: &mut Vec<MemberView>,
    depth: Depth,
    deadline: Instant,
) -> Result<()> {
    if newer.members == asked {
        return Ok(());
    }
    views.retain(|view| newer.members.contains(&view.member));
    let known: Vec<MemberId> = views.iter().map(|view| view.member.id).collect();
    let missing: Vec<Member> = newer.members.iter().filter(|m| !known.contains(&m.id)).cloned().collect();
    views.extend(ask_all(cluster, &missing, depth, deadline).await?);
    Ok(())
}

/// Asks every address at once, and then gives each member the answer that speaks for it. An endpoint that the caller gave may
/// lead to a member that advertises another address, for example through a forwarded port, so an answer belongs to the member
/// whose id it carries.
async fn ask_all(
    cluster: &Arc<Cluster>,
    members: &[Member],
    depth: Depth,
    deadline: Instant,
) -> Result<Vec<MemberView>> {
    let advertised: Vec<Vec<Endpoint>> = members.iter().map(|member| addresses(cluster, member)).collect();
    let mut everywhere: Vec<Endpoint> = advertised.iter().flatten().chain(cluster.seeds()).cloned().collect();
    everywhere.sort();
    everywhere.dedup();
    let asked = everywhere.into_iter().map(|endpoint| {
        let learner = members.iter().zip(&advertised).any(|(m, a)| m.is_learner && a.contains(&endpoint));
        ask(cluster, endpoint, depth, learner, deadline)
    });
    let answers = join_all(asked).await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(members.iter().zip(&advertised).map(|(member, addresses)| assign(member, addresses, &answers)).collect())
}

/// Returns where a member says that clients reach it, the addresses that the caller gave first.
fn addresses(cluster: &Cluster, member: &Member) -> Vec<Endpoint> {
    let tls = cluster.profile().tls.is_set();
    let mut endpoints: Vec<_> = member.client_urls.iter().filter_map(|url| Endpoint::parse(url, tls).ok()).collect();
    endpoints.sort_by_key(|endpoint| !cluster.seeds().contains(endpoint));
    endpoints.dedup();
    endpoints
}

fn assign(member: &Member, addresses: &[Endpoint], answers: &[AnswerAt]) -> MemberView {
    let mut view = MemberView {
        member: member.clone(),
        endpoint: None,
        status: None,
        serializable: None,
        linearizable: None,
        latency: None,
    };
    let speaks = |answer: &&AnswerAt| answer.status.as_ref().is_ok_and(|status| status.member_id == member.id);
    let here = |answer: &&AnswerAt| addresses.contains(&answer.endpoint);
    let found = answers
        .iter()
        .filter(speaks)
        .find(here)
        .or_else(|| answers.iter().find(speaks))
        .or_else(|| addresses.first().and_then(|first| answers.iter().find(|answer| answer.endpoint == *first)));
    let Some(answer) = found else {
        if member.started() {
            let message = "it advertises no client URL that can be used";
            view.status = Some(Err(Failure::unasked("no_client_url", message)));
        }
        return view;
    };
    view.endpoint = Some(answer.endpoint.clone());
    view.latency = answer.latency;
    match &answer.status {
        Ok(status) if status.member_id != member.id => {
            let message = format!("{} answers as member {}, not {}", answer.endpoint, status.member_id, member.id);
            view.status = Some(Err(Failure { code: "wrong_member", message, help: None, sent: Sent::Answered }));
        }
        status => {
            view.status = Some(status.clone());
            view.serializable.clone_from(&answer.serializable);
            // A learner serves no linearizable reads, so its refusal says nothing.
            view.linearizable = if member.is_learner { None } else { answer.linearizable.clone() };
        }
    }
    view
}

struct AnswerAt {
    endpoint: Endpoint,
    status: Answered<Status>,
    serializable: Option<Answered<()>>,
    linearizable: Option<Answered<()>>,
    latency: Option<Duration>,
}

async fn ask(
    cluster: &Arc<Cluster>,
    endpoint: Endpoint,
    depth: Depth,
    learner: bool,
    deadline: Instant,
) -> Result<AnswerAt> {
    let node = match cluster.node(&endpoint) {
        Ok(node) => node,
        Err(error) => {
            let status = Err(error.into());
            return Ok(AnswerAt { endpoint, status, serializable: None, linearizable: None, latency: None });
        }
    };
    let start = Instant::now();
    let reads = async {
        match depth {
            Depth::Status => (None, None),
            Depth::Reads => reads(&node, learner, deadline).await,
        }
    };
    let (status, (serializable, linearizable)) = join(node.status(deadline), reads).await;
    match status {
        // A mixture of clusters makes every other answer worthless.
        Err(error) if error.code() == "cluster_mismatch" => Err(error),
        status => {
            let latency = status.is_ok().then(|| start.elapsed());
            Ok(AnswerAt { endpoint, status: status.map_err(Failure::from), serializable, linearizable, latency })
        }
    }
}

/// Asks whether a member serves reads: from what it knows itself, and such that a quorum confirms.
async fn reads(node: &Node, learner: bool, deadline: Instant) -> (Option<Answered<()>>, Option<Answered<()>>) {
    let ask = |how| async move { Some(probe(node, how, deadline).await.map_err(Failure::from)) };
    if learner {
        return (ask(Consistency::Serializable).await, None);
    }
    let mut confirmed = pin!(ask(Consistency::Linearizable));
    match tokio::time::timeout(PATIENCE, &mut confirmed).await {
        // Who serves the one serves the other too.
        Ok(Some(Ok(()))) => (Some(Ok(())), Some(Ok(()))),
        Ok(failed) => (ask(Consistency::Serializable).await, failed),
        Err(_) => join(ask(Consistency::Serializable), confirmed).await,
    }
}

/// How long a read that a quorum confirms usually takes at most; who has not served it by then is asked for the other too.
const PATIENCE: Duration = Duration::from_millis(100);

/// Asks a member for a read. While the voters elect a leader a member refuses reads, which is over in a second; that is no
/// illness, so it is asked again as long as there is time.
async fn probe(node: &Node, how: Consistency, deadline: Instant) -> Result<()> {
    loop {
        match node.probe(how, deadline).await {
            Err(error) if error.code() == "no_leader" && Instant::now() + AGAIN < deadline => {
                sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}

/// How long a member that has no leader is left alone before it is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Reads the alarms out of what the members complain about in their status, for example
/// `memberID:10501334649042878790 alarm:NOSPACE`. The alarm RPC would say the same, but each call of it is a proposal to raft:
/// a write, which a look at a cluster should not cause, and which a cluster without a quorum cannot answer.
fn alarms(views: &[MemberView]) -> Vec<Alarm> {
    let complaints = views.iter().filter_map(MemberView::known).flat_map(|status| &status.errors);
    let mut alarms: Vec<Alarm> = complaints.filter_map(|text| parse_alarm(text)).collect();
    alarms.sort_by_key(|alarm| (alarm.member_id, alarm.kind));
    alarms.dedup();
    alarms
}

pub(crate) fn parse_alarm(text: &str) -> Option<Alarm> {
    // The words come from a protobuf text printer, which takes liberties with the white space, and leaves out a zero id.
    let after = |label: &str| text.split_once(label).map(|(_, rest)| rest.trim_start());
    let word =
        |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned();
    let kind = match word(after("alarm:")?).as_str() {
        "NOSPACE" => AlarmKind::NoSpace,
        "CORRUPT" => AlarmKind::Corrupt,
        _ => AlarmKind::Unknown,
    };
    let member_id = after("memberID:").map_or(Some(0), |rest| word(rest).parse().ok())?;
    Some(Alarm { member_id: MemberId(member_id), kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("memberID:10501334649042878790 alarm:NOSPACE ", Some((10_501_334_649_042_878_790, AlarmKind::NoSpace)))]
    #[case("memberID:7  alarm:CORRUPT", Some((7, AlarmKind::Corrupt)))]
    #[case("alarm:CORRUPT", Some((0, AlarmKind::Corrupt)))]
    #[case("memberID:7 alarm:9", Some((7, AlarmKind::Unknown)))]
    #[case("etcdserver: no leader", None)]
    #[case("memberID:x alarm:NOSPACE", None)]
    fn alarms_are_read_from_status(#[case] text: &str, #[case] expected: Option<(u64, AlarmKind)>) {
        assert_eq!(parse_alarm(text).map(|alarm| (alarm.member_id.0, alarm.kind)), expected);
    }
}
