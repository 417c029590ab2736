//! The token of the user, shared by all connections of a cluster. Getting one takes the server a third of a second, so it is
//! asked for once, when the first call needs it, and again only when a server refuses it.

use std::sync::{PoisonError, RwLock};

use http::HeaderValue;

use super::error::RpcError;
use super::single::Single;
use crate::profile::User;

/// Holds the token.
pub(super) struct Tokens {
    user: Option<User>,
    state: RwLock<State>,
    asking: Single<RpcError>,
}

#[derive(Default)]
struct State {
    /// Counts the answers, so that many calls that fail with one token ask for a new one only once.
    generation: u64,
    valid: bool,
    /// None also where the cluster does not ask for users.
    header: Option<HeaderValue>,
}

impl Tokens {
    pub(super) fn new(user: Option<User>) -> Self {
        Tokens { user, state: RwLock::default(), asking: Single::default() }
    }

    pub(super) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Returns the header to send.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.user.as_ref()?;
        self.state.read().unwrap_or_else(PoisonError::into_inner).header.clone()
    }

    /// Makes sure that there is a token, and returns its generation.
    pub(super) async fn ready(
        &self,
        authenticate: impl Future<Output = Result<Option<HeaderValue>, RpcError>>,
    ) -> Result<u64, RpcError> {
        if self.user.is_none() {
            return Ok(0);
        }
        let make = async {
            let header = authenticate.await?;
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            *state = State { generation: state.generation + 1, valid: true, header };
            Ok(state.generation)
        };
        self.asking.get_or_make(|| self.valid(), make).await
    }

    /// Gives up the token of a generation: a server has refused it. Says whether another one can be had.
    pub(super) fn refused(&self, generation: u64) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation == generation {
            state.valid = false;
        }
        self.user.is_some()
    }

    /// Gives up the token, whichever it is: the next call asks for another one.
    pub(super) fn give_up(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).valid = false;
    }

    fn valid(&self) -> Option<u64> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.valid.then_some(state.generation)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test macro has its own runtime")]
mod tests {
    use super::*;
    use crate::profile::Secret;

    fn tokens() -> Tokens {
        Tokens::new(Some(User { name: "root".to_owned(), password: Secret::new("pw".to_owned()) }))
    }

    async fn answer(text: &'static str) -> Result<Option<HeaderValue>, RpcError> {
        Ok(Some(HeaderValue::from_static(text)))
    }

    #[tokio::test]
    async fn without_a_user_nothing_is_asked() {
        let tokens = Tokens::new(None);
        tokens.ready(async { panic!("asked") }).await.unwrap();
        assert_eq!(tokens.header(), None);
        assert!(!tokens.refused(0));
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once_for_all_calls_that_had_it() {
        let tokens = tokens();
        let first = tokens.ready(answer("a")).await.unwrap();
        assert_eq!(tokens.ready(async { panic!("asked") }).await.unwrap(), first);
        assert!(tokens.refused(first));
        let second = tokens.ready(answer("b")).await.unwrap();
        // A second call that failed with the first token finds the new one.
        assert!(tokens.refused(first));
        assert_eq!(tokens.ready(async { panic!("asked") }).await.unwrap(), second);
        assert_eq!(tokens.header().unwrap(), "b");
    }

    #[tokio::test]
    async fn a_cluster_without_users_is_remembered_until_it_says_otherwise() {
        let tokens = tokens();
        let none = tokens.ready(async { Ok(None) }).await.unwrap();
        assert_eq!(tokens.header(), None);
        assert!(tokens.refused(none));
        tokens.ready(answer("a")).await.unwrap();
        assert_eq!(tokens.header().unwrap(), "a");
    }
}
