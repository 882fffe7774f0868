//! etcd's simple tokens: random texts that every member remembers, for a time that starts over with each use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{SIMPLE_TOKEN_RENEWAL, SIMPLE_TOKENS};

/// The tokens that count. Times are since an origin of the caller's choosing.
#[derive(Debug)]
pub struct SimpleTokens {
    ttl: Duration,
    tokens: BTreeMap<Arc<str>, Issued>,
    /// The same, those that end first at the beginning.
    ends: BTreeSet<(Duration, Arc<str>)>,
}

#[derive(Debug)]
struct Issued {
    user: String,
    end: Duration,
}

impl SimpleTokens {
    /// None yet; each will count for `ttl` after it was used.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, tokens: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// Whether a text can be a token of this kind: anything and the index of a log entry, with a dot between.
    pub fn is_well_formed(token: &str) -> bool {
        token.split_once('.').is_some_and(|(_, index)| index.parse::<u64>().is_ok())
    }

    /// Remembers a token that was given to a user. Of too many the one that would end first is forgotten.
    pub fn issue(&mut self, user: &str, token: &str, now: Duration) {
        self.forget_ended(now);
        self.forget(token);
        if self.tokens.len() >= SIMPLE_TOKENS
            && let Some((_, token)) = self.ends.pop_first()
        {
            self.tokens.remove(&token);
        }
        let token: Arc<str> = token.into();
        let end = now.saturating_add(self.ttl);
        self.ends.insert((end, token.clone()));
        self.tokens.insert(token, Issued { user: user.to_owned(), end });
    }

    /// Whose token it is, if it still counts; then it counts for its whole time again.
    pub fn user(&mut self, token: &str, now: Duration) -> Option<String> {
        let (token, issued) = self.tokens.get_key_value(token)?;
        if issued.end <= now {
            return None;
        }
        let (token, user, old_end) = (token.clone(), issued.user.clone(), issued.end);
        let end = now.saturating_add(self.ttl);
        // Not with every request: that would cost more than it is worth.
        if end.saturating_sub(old_end) >= SIMPLE_TOKEN_RENEWAL {
            self.ends.remove(&(old_end, token.clone()));
            self.ends.insert((end, token.clone()));
            if let Some(issued) = self.tokens.get_mut(&token) {
                issued.end = end;
            }
        }
        Some(user)
    }

    /// Forgets every token of a user.
    pub fn forget_user(&mut self, user: &str) {
        self.tokens.retain(|token, issued| {
            let keep = issued.user != user;
            if !keep {
                self.ends.remove(&(issued.end, token.clone()));
            }
            keep
        });
    }

    /// Forgets every token.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.ends.clear();
    }

    fn forget(&mut self, token: &str) {
        if let Some((token, issued)) = self.tokens.remove_entry(token) {
            self.ends.remove(&(issued.end, token));
        }
    }

    fn forget_ended(&mut self, now: Duration) {
        while let Some((end, _)) = self.ends.first()
            && *end <= now
            && let Some((_, token)) = self.ends.pop_first()
        {
            self.tokens.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_counts_until_it_was_not_used_for_its_time() {
        let mut tokens = SimpleTokens::new(TTL);
        tokens.issue("ann", "a.1", at(0));
        assert_eq!(tokens.user("a.1", at(299)).as_deref(), Some("ann"));
        assert_eq!(tokens.user("a.1", at(598)).as_deref(), Some("ann"));
        assert_eq!(tokens.user("a.1", at(898)), None);
        assert_eq!(tokens.user("b.1", at(0)), None);
    }

    #[test]
    fn a_user_loses_all_its_tokens_and_others_none() {
        let mut tokens = SimpleTokens::new(TTL);
        for (user, token) in [("ann", "a.1"), ("ann", "b.2"), ("bob", "c.3")] {
            tokens.issue(user, token, at(0));
        }
        tokens.forget_user("ann");
        assert_eq!([tokens.user("a.1", at(1)), tokens.user("b.2", at(1))], [None, None]);
        assert_eq!(tokens.user("c.3", at(1)).as_deref(), Some("bob"));
        tokens.clear();
        assert_eq!(tokens.user("c.3", at(1)), None);
        assert!(tokens.ends.is_empty());
    }

    #[test]
    fn tokens_do_not_pile_up() {
        let mut tokens = SimpleTokens::new(TTL);
        for index in 0..=SIMPLE_TOKENS {
            tokens.issue("ann", &format!("a.{index}"), Duration::from_millis(index as u64));
        }
        assert_eq!((tokens.tokens.len(), tokens.ends.len()), (SIMPLE_TOKENS, SIMPLE_TOKENS));
        assert_eq!(tokens.user("a.0", at(100)), None);
        tokens.issue("ann", "b.1", at(10_000));
        assert_eq!((tokens.tokens.len(), tokens.ends.len()), (1, 1));
    }

    #[test]
    fn the_shape_of_a_token_is_known() {
        assert!(SimpleTokens::is_well_formed("abc.12"));
        for text in ["", "abc", "abc.", "abc.x", "a.1.2", "a.-1"] {
            assert!(!SimpleTokens::is_well_formed(text), "{text}");
        }
    }
}
