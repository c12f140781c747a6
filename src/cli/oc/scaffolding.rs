//! What `new-app` and `new-build` have in common: their words, what they look up, what they write.

mod lookup;
mod written;

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::edit::{EditArguments, Outcome, edit};
use super::import_image;
use crate::cli::{Context, ExitCode, offline};
use crate::scaffold::failure::Told;
use crate::scaffold::make::{Made, make};
use crate::scaffold::report::{self, Reader};
use crate::scaffold::template::templates;
use crate::scaffold::words::{self, Word};
use crate::scaffold::{
    Component, Failure, Known, Named, Plan, Question, Stop, Strategy, Verb, Wanted, build,
    pipelines, resolve,
};
use crate::time::Timestamp;

pub(super) use lookup::Lookup;

/// Words that both commands take.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
pub(super) struct Words {
    /// Images, streams, sources and environment: `httpd:2.4`, `httpd~https://…`, `./folder`, `KEY=VALUE`
    #[arg(value_name = "IMAGE|STREAM|PATH|URL|KEY=VALUE")]
    pub(super) words: Vec<String>,
    /// A source; may be repeated
    #[arg(long, value_name = "PATH|URL", value_delimiter = ',', help_heading = WHAT)]
    code: Vec<String>,
    /// An image stream, or a tag of it; may be repeated
    #[arg(short, long, value_name = "STREAM[:TAG]", value_delimiter = ',', help_heading = WHAT)]
    pub(super) image_stream: Vec<String>,
    /// An image of a registry; may be repeated
    #[arg(long, alias = "docker-image", value_name = "IMAGE", value_delimiter = ',')]
    #[arg(help_heading = WHAT)]
    pub(super) image: Vec<String>,
    /// Name of what is made [default: that of the source or the image]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    /// How it is built [default: as the source says]
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<StrategyWord>,
    /// Folder of the source that is built
    #[arg(long, value_name = "FOLDER", default_value = "", hide_default_value = true)]
    context_dir: String,
    /// Build what is uploaded when a build is started; nothing starts one by itself
    #[arg(long)]
    binary: bool,
    /// The Secret that clones the source
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    source_secret: String,
    /// Labels of all that is made, KEY=VALUE with commas
    #[arg(short, long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    labels: String,
    /// Use images that cannot be found
    #[arg(long)]
    allow_missing_images: bool,
    /// Use tags that have no image yet
    #[arg(long)]
    allow_missing_imagestream_tags: bool,
    /// Allow plain HTTP and unverified TLS
    #[arg(long)]
    insecure_registry: bool,
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    #[arg(help = "What is imported of an index: Legacy or PreserveOriginal")]
    import_mode: String,
    /// Write the secrets of webhooks into git, as OpenShift has them, in place of a reference to a Secret
    #[arg(long)]
    inline_secrets: bool,
    /// Print the objects and write nothing (json, yaml), or print no more than their names
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    pub(super) edit: EditArguments,
}

/// Where the help shows what flags name (rule N2).
const WHAT: &str = "In place of an argument";

/// Ways to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StrategyWord {
    /// By its Dockerfile
    Docker,
    /// By a builder image
    Source,
    /// By its Jenkinsfile, which is refused
    Pipeline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
    Yaml,
    Name,
}

/// What was asked for, and what the arguments were taken for.
pub(super) struct Read {
    pub(super) wanted: Wanted,
    /// By argument: what it is, and why it is no source.
    told: BTreeMap<String, (Word, String)>,
    templates: BTreeMap<String, String>,
    /// Arguments that are environment.
    environment: Vec<String>,
    /// What a reader should know.
    pub(super) warnings: Vec<String>,
}

impl Words {
    /// Reads the words; `template_files` are named by `--file`.
    pub(super) fn read(
        &self,
        verb: Verb,
        template_files: &[String],
        context: &mut Context<'_>,
    ) -> anyhow::Result<Read> {
        let config = offline::settings(&self.edit.settings, context)?;
        let wanted = Wanted::new(verb, self.edit.namespace(&config).clone());
        let mut read = Read {
            wanted,
            told: BTreeMap::new(),
            templates: BTreeMap::new(),
            environment: Vec::new(),
            warnings: Vec::new(),
        };
        for word in self.words.iter().filter(|word| !word.is_empty()) {
            let facts = lookup::facts(word, &config.source.source());
            let what = words::classify(word, &facts);
            match what {
                Word::Environment => read.environment.push(word.clone()),
                Word::Source => read.wanted.sources.push(word.clone()),
                Word::Template => read.template(word)?,
                Word::Component => read.component(word, Named::Argument),
            }
            read.told.insert(word.clone(), (what, facts.not_a_source));
        }
        read.wanted.sources.extend(self.code.iter().cloned());
        self.image.iter().for_each(|word| read.component(word, Named::Image));
        self.image_stream.iter().for_each(|word| read.component(word, Named::ImageStream));
        for word in template_files {
            read.template(word)?;
        }
        self.flags(&mut read)?;
        Ok(read)
    }

    fn flags(&self, read: &mut Read) -> anyhow::Result<()> {
        let wanted = &mut read.wanted;
        wanted.name.clone_from(&self.name);
        wanted.strategy = self.strategy.map(|word| match word {
            StrategyWord::Docker => Strategy::Docker,
            StrategyWord::Source => Strategy::Source,
            StrategyWord::Pipeline => Strategy::Pipeline,
        });
        wanted.context_dir = self.context_dir.trim_matches('/').to_owned();
        wanted.binary = self.binary;
        wanted.source_secret.clone_from(&self.source_secret);
        wanted.labels = super::expose::pairs(&self.labels)?;
        wanted.allow_missing_images = self.allow_missing_images;
        wanted.allow_missing_tags = self.allow_missing_imagestream_tags;
        wanted.insecure = self.insecure_registry;
        wanted.import_mode = match self.import_mode.as_str() {
            "" | "Legacy" => None,
            "PreserveOriginal" => Some(crate::action::ImportMode::PreserveOriginal),
            _ => bail!("valid ImportMode values are Legacy or PreserveOriginal"),
        };
        if self.inline_secrets {
            let of = |one: &Component| one.word.matches('+').count() + 1;
            let builds: usize = wanted.components.iter().map(of).sum();
            let count = 2 * (builds + wanted.sources.len() + 1);
            wanted.webhook_secrets = Some(random(count)?);
        }
        Ok(())
    }
}

/// Texts that nobody can guess.
fn random(count: usize) -> anyhow::Result<Vec<String>> {
    use base64::Engine as _;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = [0; build::SECRET_LEN / 4 * 3];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut bytes))
            .context("no random bytes")?;
        all.push(base64::engine::general_purpose::URL_SAFE.encode(bytes));
    }
    Ok(all)
}

impl Read {
    fn component(&mut self, word: &str, named: Named) {
        self.wanted.components.push(Component { word: word.to_owned(), named });
    }

    fn template(&mut self, word: &str) -> anyhow::Result<()> {
        self.templates.insert(word.to_owned(), lookup::template(word)?);
        self.component(word, Named::Template);
        Ok(())
    }

    /// A Template that is named and is no file.
    pub(super) fn stored_template(&mut self, word: &str) {
        self.component(word, Named::Template);
    }

    /// Takes environment: words, arguments and files, of what runs, or where nothing runs of what builds.
    pub(super) fn environment(
        &mut self,
        words: &[String],
        files: &[std::path::PathBuf],
    ) -> anyhow::Result<()> {
        let words: Vec<String> = words.iter().chain(&self.environment).cloned().collect();
        let what = "Environment variable";
        let found = lookup::environment(&words, files, what, &mut self.warnings)?;
        match self.wanted.verb {
            Verb::App => self.wanted.environment = found,
            Verb::Build => self.wanted.build_environment = found,
        }
        Ok(())
    }

    /// The same of builds.
    pub(super) fn build_environment(
        &mut self,
        words: &[String],
        files: &[std::path::PathBuf],
    ) -> anyhow::Result<()> {
        let what = "Build Environment variable";
        let found = lookup::environment(words, files, what, &mut self.warnings)?;
        self.wanted.build_environment.extend(found);
        Ok(())
    }

    /// The parameters of templates.
    pub(super) fn parameters(
        &mut self,
        words: &[String],
        files: &[std::path::PathBuf],
    ) -> anyhow::Result<()> {
        let what = "Template parameter";
        self.wanted.parameters = lookup::environment(words, files, what, &mut self.warnings)?;
        Ok(())
    }

    /// An error as `oc` tells it.
    pub(super) fn error(&self, failure: &Failure, program: &str) -> anyhow::Error {
        let told = failure.value().and_then(|value| self.told.get(value));
        let source = told.map(|(_, why)| why.as_str()).filter(|why| !why.is_empty());
        let told = Told {
            program,
            verb: self.wanted.verb,
            word: told.map(|(word, _)| *word),
            not_a_source: source,
        };
        anyhow::anyhow!("{}", failure.text(&told))
    }

    /// What is known before anybody is asked.
    fn known(&self, lookup: &Lookup) -> Known {
        Known { templates: self.templates.clone(), ..lookup.known() }
    }

    /// Goes on until nothing is asked any more.
    pub(super) fn answered<T>(
        &self,
        lookup: &Lookup,
        program: &str,
        step: impl Fn(&Wanted, &Known) -> Result<T, Stop>,
    ) -> anyhow::Result<(T, Known)> {
        let mut known = self.known(lookup);
        loop {
            match step(&self.wanted, &known) {
                Ok(done) => return Ok((done, known)),
                Err(Stop::Fail(failure)) => return Err(self.error(&failure, program)),
                Err(Stop::Ask(Question::Image(word))) => {
                    let answer = lookup.image(&word, &self.wanted)?;
                    known.asked.insert(word, answer);
                }
                Err(Stop::Ask(Question::Source(place))) => {
                    let answer = lookup.source(&place, &self.wanted);
                    known.sources.insert(place, answer);
                }
            }
        }
    }

    /// What becomes of the words.
    fn make(&self, lookup: &Lookup, program: &str) -> anyhow::Result<(Plan, Made, String)> {
        let (resolved, known) = self.answered(lookup, program, resolve)?;
        let failed = |failure: Failure| self.error(&failure, program);
        let given = templates(&self.wanted, &known).map_err(failed)?;
        let plan = pipelines(&self.wanted, &known, &resolved).map_err(failed)?;
        let made = make(&self.wanted, &known, &plan, given.objects, given.name.as_deref());
        Ok((plan, made.map_err(failed)?, given.text))
    }
}

/// Makes what the words ask for: writes its manifests and commits them, or prints them.
pub(super) fn run(
    words: &Words,
    read: &Read,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let program = context.global.program();
    for warning in &read.warnings {
        writeln!(context.err, "{warning}")?;
    }
    let wanted = &read.wanted;
    let has_input = !wanted.components.is_empty() || !wanted.sources.is_empty();
    if !has_input && !wanted.binary && wanted.dockerfile.is_none() {
        return Err(read.error(&Failure::NoInput, program));
    }
    edit(&words.edit, context, |desk| {
        let lookup = Lookup::of(&desk.desired(), desk.config)?;
        let (plan, made, templates) = read.make(&lookup, program)?;
        let reader = Reader { program, now: Timestamp::from_jiff(jiff::Timestamp::now()) };
        let mut outcome = Outcome::default();
        outcome.notes.extend(made.warnings.iter().cloned());
        match words.output {
            Some(Output::Json) => outcome.lines.push(written::json(&made, &desk.namespace)?),
            Some(Output::Yaml) => outcome.lines.push(written::yaml(&made, &desk.namespace)),
            Some(Output::Name) => {
                written::write(&read.wanted, &made, desk, &mut outcome)?;
                if outcome.failed.is_none() {
                    let name = |object: &crate::scaffold::make::Object| {
                        format!("{}/{}", object.kind(), object.name)
                    };
                    outcome.lines.extend(made.objects.iter().map(name));
                }
            }
            None => {
                let blocks = report::blocks(reader, &read.wanted, &plan);
                let text = blocks + &templates;
                outcome.lines.extend(text.lines().map(str::to_owned));
                outcome.lines.push(report::creating(&made.said_labels));
                written::write(&read.wanted, &made, desk, &mut outcome)?;
                if outcome.failed.is_some() {
                    outcome.lines.push("--> Failed".into());
                    return Ok(outcome);
                }
                let lines =
                    made.objects.iter().map(|object| desk.line(report::created(object, "")));
                outcome.lines.extend(lines);
                outcome.lines.push(desk.line("--> Success"));
                if !words.edit.is_dry() {
                    outcome.lines.extend(report::finished(reader, read.wanted.verb, &made));
                }
            }
        }
        outcome.notes.extend(written::notes(&read.wanted, &made, &desk.config.policy));
        Ok(outcome)
    })
}

/// What asks registries, as a dry import does.
type Registries = (crate::world::registry::Registries, import_image::Kept);
