//! Static bearer tokens from a CSV file (`--token-auth-file`): `token,user,uid,"group1,group2"`, the groups optional.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::User;

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The text is not CSV.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Counted from 1.
        line: u64,
        /// What the parser found.
        reason: String,
    },
    /// A record has fewer than the three mandatory columns.
    #[error("line {line}: expected at least 3 columns (token, user name, user uid), found {found}")]
    Columns {
        /// Counted from 1.
        line: u64,
        /// How many columns the record has.
        found: usize,
    },
}

/// The tokens of one file. Only digests are held, so neither a lookup's timing nor a dump of this structure tells a
/// token.
#[derive(Default)]
pub struct TokenFile {
    users: HashMap<[u8; 32], User>,
}

impl TokenFile {
    /// Reads the file's text. A record with an empty token is skipped and, where a token stands twice, the last one
    /// counts, both as kube-apiserver has it.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut users = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| TokenFileError::Syntax {
                line: e.position().map_or(0, csv::Position::line),
                reason: e.to_string(),
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let (Some(token), Some(name), Some(uid)) = (record.get(0), record.get(1), record.get(2)) else {
                return Err(TokenFileError::Columns { line, found: record.len() });
            };
            if token.is_empty() {
                continue;
            }
            let groups = record.get(3).unwrap_or_default().split(',').map(str::trim).filter(|g| !g.is_empty());
            let user = User {
                name: name.to_owned(),
                uid: uid.to_owned(),
                groups: groups.map(str::to_owned).collect(),
                ..User::default()
            };
            users.insert(digest(token), user);
        }
        Ok(Self { users })
    }

    /// Whose token this is.
    pub fn user(&self, token: &str) -> Option<User> {
        self.users.get(&digest(token)).cloned()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_users_from_tokens() {
        let file = TokenFile::parse("t1,ann,u1,\"dev, system:masters\"\nt2,bob,u2\n,ghost,u3\n").unwrap();
        let ann = file.user("t1").unwrap();
        assert_eq!((ann.name.as_str(), ann.uid.as_str()), ("ann", "u1"));
        assert_eq!(ann.groups, ["dev", "system:masters"]);
        assert!(file.user("t2").unwrap().groups.is_empty());
        assert!(file.user("").is_none());
        assert!(file.user("t3").is_none());
    }

    #[test]
    fn names_the_line_with_too_few_columns() {
        let error = TokenFile::parse("t1,ann,u1\nt2,bob\n").err().unwrap();
        assert_eq!(error.to_string(), "line 2: expected at least 3 columns (token, user name, user uid), found 2");
    }
}
