//! Whom a registry counts requests for.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whom a registry counts requests for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Account {
    /// The host that was asked, a mirror's where that answered.
    pub host: String,
    /// The user of the login; none without one.
    pub user: Option<String>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl FromStr for Account {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        // A user may be an address of mail; a host has no `@`.
        Ok(match text.rsplit_once('@') {
            Some((user, host)) => Self { host: host.to_owned(), user: Some(user.to_owned()) },
            None => Self { host: text.to_owned(), user: None },
        })
    }
}

text_serde!(Account);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_what_it_writes_also_where_the_user_is_an_address() {
        for text in ["docker.io", "bob@docker.io", "bob@example.com@localhost:5000"] {
            let account: Account = text.parse().unwrap();
            assert_eq!(account.to_string(), text);
            assert!(!account.host.contains('@'), "{account:?}");
        }
    }
}
