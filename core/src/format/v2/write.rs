//! The old store of a cluster that has just been made, to the byte as a restore of etcd 3.5 writes it. Its members are all that
//! ever happened in it, one after the other in the order of their ids, so that the index of each is its number.
//!
//! | path | index | value |
//! | ---- | --- | --- |
//! | `/`, `/0`, `/1` | 0 | |
//! | `/0/members` | 1 | |
//! | `/0/members/ID`, `/0/members/ID/raftAttributes` | number of the member, from 1 on | in the latter: `{"peerURLs":[…]}` |
//!
//! Source: etcd's `server/etcdserver/api/v2store/store.go`, `event_history.go`, `event_queue.go` and `stats.go`.

use super::Member;
use crate::format::go_json;

/// How many events the old store remembers.
const EVENTS: usize = 1000;
/// What the old store counts, in its order.
const COUNTERS: [&str; 16] = [
    "getsSuccess",
    "getsFail",
    "setsSuccess",
    "setsFail",
    "deleteSuccess",
    "deleteFail",
    "updateSuccess",
    "updateFail",
    CREATED,
    "createFail",
    "compareAndSwapSuccess",
    "compareAndSwapFail",
    "compareAndDeleteSuccess",
    "compareAndDeleteFail",
    "expireCount",
    "watchers",
];
/// The counter that is not zero.
const CREATED: &str = "createSuccess";

/// Writes the old store of these members, which are in the order of their ids.
pub fn fresh(members: &[Member]) -> String {
    let count = members.len();
    let mut folders: Vec<(String, String)> = Vec::new();
    let mut events = Vec::new();
    for (number, member) in (1..).zip(members) {
        let path = format!("/0/members/{}", member.id);
        let urls = go_json::string(&format!("{{\"peerURLs\":{}}}", go_json::strings(&member.peer_urls)));
        let attributes = node(&format!("{path}/raftAttributes"), number, &urls, "null");
        events.push(event(&path, number, &urls));
        folders
            .push((member.id.to_string(), node(&path, number, "\"\"", &children(&[("raftAttributes", attributes)]))));
    }
    folders.sort();
    events.resize(EVENTS.max(count), "null".to_owned());
    let folders: Vec<(&str, String)> = folders.iter().map(|(id, node)| (id.as_str(), node.clone())).collect();
    let members = node("/0/members", 1, "\"\"", &children(&folders));
    let zero = node("/0", 0, "\"\"", &children(&[("members", members)]));
    let root = node("/", 0, "\"\"", &children(&[("0", zero), ("1", node("/1", 0, "\"\"", "{}"))]));
    let counters = COUNTERS.map(|name| format!("\"{name}\":{}", if name == CREATED { count } else { 0 }));
    format!(
        "{{\"Root\":{root},\"WatcherHub\":{{\"EventHistory\":{{\"Queue\":{{\"Events\":[{}],\"Size\":{count},\"Front\":0,\
         \"Back\":{count},\"Capacity\":{EVENTS}}},\"StartIndex\":1,\"LastIndex\":{count}}}}},\"CurrentIndex\":{count},\
         \"Stats\":{{{}}},\"CurrentVersion\":2}}",
        events.join(","),
        counters.join(",")
    )
}

fn node(path: &str, index: u64, value: &str, children: &str) -> String {
    format!(
        "{{\"Path\":{},\"CreatedIndex\":{index},\"ModifiedIndex\":{index},\"ExpireTime\":\"0001-01-01T00:00:00Z\",\
         \"Value\":{value},\"Children\":{children}}}",
        go_json::string(path)
    )
}

fn children(children: &[(&str, String)]) -> String {
    let children = children.iter().map(|(name, node)| format!("{}:{node}", go_json::string(name)));
    format!("{{{}}}", children.collect::<Vec<_>>().join(","))
}

fn event(member: &str, index: u64, value: &str) -> String {
    format!(
        "{{\"action\":\"create\",\"node\":{{\"key\":\"{member}/raftAttributes\",\"value\":{value},\
         \"modifiedIndex\":{index},\"createdIndex\":{index}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::OldStore;
    use super::*;
    use crate::id::MemberId;

    fn member(id: u64, urls: &[&str]) -> Member {
        let peer_urls = urls.iter().map(|url| (*url).to_owned()).collect();
        Member { id: MemberId(id), name: String::new(), peer_urls, client_urls: Vec::new(), is_learner: false }
    }

    #[test]
    fn a_store_is_read_back_and_is_as_etcd_writes_it() {
        let members = [member(0x9, &["http://b:2380", "https://b:2381"]), member(0x1f, &["http://a:2380"])];
        let json = fresh(&members);
        let store = OldStore::parse(json.as_bytes()).unwrap();
        assert_eq!((store.members.as_slice(), store.user_nodes), (&members[..], 0));
        // The names are in the order of letters, and the numbers in that of the ids.
        insta::assert_snapshot!(json.replace(&",null".repeat(998), ", 998 of null").replace("},", "},\n"), @r#"
        {"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"0":{"Path":"/0","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"members":{"Path":"/0/members","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"1f":{"Path":"/0/members/1f","CreatedIndex":2,"ModifiedIndex":2,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"raftAttributes":{"Path":"/0/members/1f/raftAttributes","CreatedIndex":2,"ModifiedIndex":2,"ExpireTime":"0001-01-01T00:00:00Z","Value":"{\"peerURLs\":[\"http://a:2380\"]}","Children":null}}},
        "9":{"Path":"/0/members/9","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"raftAttributes":{"Path":"/0/members/9/raftAttributes","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":"{\"peerURLs\":[\"http://b:2380\",\"https://b:2381\"]}","Children":null}}}}}}},
        "1":{"Path":"/1","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{}}}},
        "WatcherHub":{"EventHistory":{"Queue":{"Events":[{"action":"create","node":{"key":"/0/members/9/raftAttributes","value":"{\"peerURLs\":[\"http://b:2380\",\"https://b:2381\"]}","modifiedIndex":1,"createdIndex":1}},
        {"action":"create","node":{"key":"/0/members/1f/raftAttributes","value":"{\"peerURLs\":[\"http://a:2380\"]}","modifiedIndex":2,"createdIndex":2}},
         998 of null],"Size":2,"Front":0,"Back":2,"Capacity":1000},
        "StartIndex":1,"LastIndex":2}},
        "CurrentIndex":2,"Stats":{"getsSuccess":0,"getsFail":0,"setsSuccess":0,"setsFail":0,"deleteSuccess":0,"deleteFail":0,"updateSuccess":0,"updateFail":0,"createSuccess":2,"createFail":0,"compareAndSwapSuccess":0,"compareAndSwapFail":0,"compareAndDeleteSuccess":0,"compareAndDeleteFail":0,"expireCount":0,"watchers":0},
        "CurrentVersion":2}
        "#);
    }
}
