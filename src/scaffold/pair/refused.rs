//! What cannot be made of words, whatever the world says (rules N6, N7, B3).

use super::Resolved;
use crate::scaffold::failure::Failure;
use crate::scaffold::source;
use crate::scaffold::{Source, Stop, Strategy, Wanted, fail};

/// Flags that do not go together.
pub(super) fn check_flags(wanted: &Wanted) -> Result<(), Stop> {
    let has_path = !wanted.source_image_path.is_empty();
    if !wanted.source_image.is_empty() && !has_path {
        return fail("--source-image-path must be specified when --source-image is specified.");
    }
    if wanted.source_image.is_empty() && has_path {
        return fail("--source-image must be specified when --source-image-path is specified.");
    }
    if wanted.binary && wanted.strategy == Some(Strategy::Pipeline) {
        return fail(
            "specifying binary builds and the pipeline strategy at the same time is not allowed.",
        );
    }
    if wanted.strategy == Some(Strategy::Pipeline) {
        return Err(refused_pipeline()); // whatever there is to build, and with whatever image
    }
    let is_docker = matches!(wanted.strategy, None | Some(Strategy::Docker));
    if !wanted.build_arguments.is_empty() && !is_docker {
        return fail("Cannot use '--build-arg' without a Docker build");
    }
    if wanted.dockerfile.is_some() && !is_docker {
        return fail("when directly referencing a Dockerfile, the strategy must must be 'docker'");
    }
    if wanted.dockerfile.as_ref().is_some_and(|text| text.trim().is_empty()) {
        return fail("provided Dockerfile is not valid: Dockerfile is empty");
    }
    Ok(())
}

/// Builds by Jenkins are none of ours (rule B3).
pub(super) fn refused_pipeline() -> Stop {
    let text = "JenkinsPipeline strategy is not supported; run the pipeline elsewhere and use a generic webhook, or name \
                another one (--strategy=docker, --strategy=source)";
    Failure::Plain(text.into()).into()
}

/// What a source must hold to be built.
pub(super) fn check_held(held: &Source, strategy: Option<Strategy>) -> Result<(), Stop> {
    let is_pipeline = source::has(&held.files, "Jenkinsfile");
    match strategy {
        Some(Strategy::Docker) if held.dockerfile.is_none() => fail(
            "No Dockerfile was found in the repository and the requested build strategy is 'docker'",
        ),
        Some(Strategy::Pipeline) => Err(refused_pipeline()),
        Some(Strategy::Docker) => Ok(()),
        None | Some(Strategy::Source) => {
            let is_known = held.dockerfile.is_some()
                || is_pipeline
                || !source::languages(&held.files).is_empty();
            if is_known { Ok(()) } else { fail("No language matched the source repository") }
        }
    }
}

/// What builds sources must be a builder, unless the strategy was named (rule N7).
pub(super) fn check_builders(wanted: &Wanted, resolved: &Resolved) -> Result<(), Stop> {
    if wanted.strategy.is_some() {
        return Ok(());
    }
    for part in resolved.parts.iter().filter(|part| part.builds) {
        let repository = part.uses.and_then(|at| resolved.repositories.get(at));
        let Some(repository) = repository.filter(|one| one.strategy == Strategy::Source) else {
            continue;
        };
        if !part.found.is_builder(wanted) {
            return fail(format!(
                "the image match \"{}\" for source repository \"{}\" does not appear to be a source-to-image builder.\n\n- \
                 to attempt to use this image as a source builder, pass \"--strategy=source\"\n- to use it as a base image \
                 for a Docker build, pass \"--strategy=docker\"",
                part.found.name, repository.location
            ));
        }
    }
    Ok(())
}
