//! Which logins there are for an image, and what its registry makes of them: asked as an import asks, one HEAD for each.

use reqwest::{Method, StatusCode};

use super::logins::Login;
use super::places::By;
use super::sources::Who;
use super::wire::{Access, Ask};
use super::{Registries, manifest};
use crate::action::ImportFailure;
use crate::names::Namespace;
use crate::reference::ImageReference;

/// What came of one place of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceTried {
    /// Host and repository.
    pub place: String,
    /// The logins that fit, in the order in which they were tried; without one at last.
    pub logins: Vec<LoginTried>,
    /// Files and helpers that could not be looked at.
    pub problems: Vec<String>,
    /// Whether an import could go on: what the registry says that is not about logins; none where all is well.
    pub trouble: Option<ImportFailure>,
    /// Whether anything was accepted, or is not wanted.
    pub accepted: bool,
}

/// One login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginTried {
    /// Whose it is; none for a token, and for asking without a login.
    pub user: Option<String>,
    /// Where it is from; none for asking without a login.
    pub from: Option<String>,
    /// What the registry said.
    pub verdict: LoginVerdict,
}

/// What a registry made of a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginVerdict {
    /// It is taken.
    Accepted,
    /// It is not, and why.
    Refused(String),
    /// It is a token, and the registry wants a password.
    Useless,
    /// The registry answers without any.
    NotWanted,
}

impl Registries {
    /// Tries the logins for an image at each of its places, as a stream of the namespace would.
    ///
    /// # Errors
    /// Where no place may be asked.
    pub async fn try_logins(
        &self,
        image: &ImageReference,
        insecure: bool,
        namespace: Option<&Namespace>,
    ) -> Result<Vec<PlaceTried>, ImportFailure> {
        let who = Who { insecure, namespace: namespace.cloned() };
        let sources = self.sources(image, who, By::of(image))?;
        let mut places = Vec::new();
        for spot in &sources.spots {
            let path = format!("{}/manifests/{}", spot.repository, image.tag_or_digest());
            let (method, accept, access) = (Method::HEAD, manifest::ACCEPT, Access::Pull);
            let ask = Ask { method, path: &path, accept, access, content: None, tally: None };
            let failures = spot.failures();
            let trial = spot.host.try_logins(&spot.repository, &ask, failures).await;
            let place = format!("{}/{}", spot.host.name, spot.repository);
            places.push(match trial {
                Ok(trial) => PlaceTried {
                    place,
                    logins: trial.logins.into_iter().map(told).collect(),
                    problems: trial.problems,
                    accepted: trial.answer.is_some(),
                    trouble: trial
                        .answer
                        .filter(|answer| answer.status != StatusCode::OK)
                        .map(|answer| failures.of_answer(&answer)),
                },
                Err(failure) => PlaceTried {
                    place,
                    logins: Vec::new(),
                    problems: Vec::new(),
                    trouble: Some(failure),
                    accepted: false,
                },
            });
        }
        Ok(places)
    }
}

fn told((login, verdict): (Option<Login>, LoginVerdict)) -> LoginTried {
    let user = login.as_ref().and_then(|login| login.user().map(str::to_owned));
    let from = login.map(|login| login.from().to_owned());
    LoginTried { user, from, verdict }
}
