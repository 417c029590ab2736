//! `sandbox start`: make a throwaway cluster.

use crate::args;
use crate::card::{Capability, Card, Effect, Example, Sample, Target};
use crate::context::Context;
use crate::error::Result;
use crate::operation::Operation;
use crate::sandbox::{MemberRow, Options};
use crate::units::Elapsed;

args! {
    /// What the cluster is to be like.
    pub struct Args() {
        /// How the sandbox is called; its profile has the same name.
        name: String = "sandbox",
        /// How many members it has, from 1 to 9.
        members: i64 = 3,
        /// The etcd to run: a version such as 3.5 or 3.5.35, or a path with a slash in it. The newest 3.6, or else the newest.
        etcd: Option<String>,
        /// Speak plain HTTP, without certificates.
        no_tls: bool,
        /// Ask clients for a user; the profile then speaks for root.
        auth: bool,
        /// How long the members may take until they serve.
        wait: Elapsed = "60s",
    }
}

/// See [`Operation::CARD`].
pub struct SandboxStart;

impl Operation for SandboxStart {
    const CARD: Card = Card {
        name: "sandbox start",
        summary: "Start a throwaway cluster of real etcd processes on this machine.",
        details: "The members are named infra1, infra2 and so on, and listen on free ports of 127.0.0.1 only. Clients and peers speak TLS \
            with certificates of the sandbox's own authority. The cluster lives on when the command is done, and every other \
            command finds it as the profile of its name. When a member does not come up, nothing is left running, and the error \
            shows the end of its log.",
        search: &["try", "test", "demo", "playground", "local", "cluster"],
        effect: Effect::Changes,
        capability: Capability::Sandbox,
        target: Target::Nothing,
        examples: &[
            Example { about: "Start three members with TLS", args: &[] },
            Example {
                about: "Start one member of another version, with plain HTTP",
                args: &[
                    ("name", Sample::Text("old")),
                    ("members", Sample::Int(1)),
                    ("etcd", Sample::Text("3.5")),
                    ("no_tls", Sample::On),
                ],
            },
        ],
    };
    type Args = Args;
    type Report = Vec<MemberRow>;

    async fn run(ctx: &Context<'_>, args: Args) -> Result<Vec<MemberRow>> {
        let options = Options {
            members: usize::try_from(args.members).unwrap_or(usize::MAX),
            etcd: args.etcd,
            tls: !args.no_tls,
            auth: args.auth,
            wait: args.wait.duration(),
            ..Options::default()
        };
        super::on(ctx, &args.name, async |sandbox| {
            sandbox.launch(&options).await?;
            sandbox.rows()
        })
        .await
    }
}
