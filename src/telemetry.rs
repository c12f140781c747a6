//! Log lines on standard error.
//!
//! Fields have fixed names: `stream`, `tag`, `digest`, `commit`, `target`, `seq`, `elapsed_ms`. What happened is in the
//! journal and is not logged twice; bodies and manifests are never logged, because they may hold secrets.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt as _};

use crate::config::{LogFormat, LogSettings};

/// Whether lines carry their time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// Yes.
    Shown,
    /// No: what reads the lines adds it.
    Left,
}

impl Times {
    /// Standard error goes to systemd's journal where `JOURNAL_STREAM` names its device and inode, and the journal
    /// notes times by itself.
    #[must_use]
    pub fn for_stderr(journal_stream: Option<&str>) -> Self {
        let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else {
            return Self::Shown;
        };
        match rustix::fs::fstat(io::stderr()) {
            Ok(stat) if stat.st_dev.to_string() == device && stat.st_ino.to_string() == inode => {
                Self::Left
            }
            Ok(_) | Err(_) => Self::Shown,
        }
    }
}

/// Starts logging to standard error for the rest of the process; `variables` are the environment.
///
/// A second call changes nothing: a process logs in one way.
pub fn init(settings: &LogSettings, environment: &crate::config::Environment) {
    let stream = environment.variables.get("JOURNAL_STREAM").map(String::as_str);
    let subscriber = subscriber(settings, Times::for_stderr(stream), io::stderr);
    match tracing::subscriber::set_global_default(subscriber) {
        Ok(()) | Err(_) => {}
    }
}

/// Makes what turns events into lines.
///
/// A filter that does not parse (the configuration has checked it) means `info`.
pub fn subscriber<W>(
    settings: &LogSettings,
    times: Times,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match (settings.format, times) {
        (LogFormat::Text, Times::Shown) => lines.boxed(),
        (LogFormat::Text, Times::Left) => lines.without_time().boxed(),
        (LogFormat::Json, Times::Shown) => lines.json().flatten_event(true).boxed(),
        (LogFormat::Json, Times::Left) => lines.json().flatten_event(true).without_time().boxed(),
    };
    Registry::default().with(layer.with_filter(filter))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: LogFormat, times: Times) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let settings = LogSettings { level: level.into(), format };
        let subscriber = subscriber(&settings, times, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(stream = "shop/web", "imported");
            tracing::debug!("detail");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_for_the_journal_has_no_time() {
        insta::assert_snapshot!(logged("info", LogFormat::Text, Times::Left), @r#" INFO tidegate::telemetry::tests: imported stream="shop/web""#);
        assert!(logged("info", LogFormat::Text, Times::Shown).starts_with("20"));
    }

    #[test]
    fn a_json_line_is_one_object() {
        let line = logged("info", LogFormat::Json, Times::Shown);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["message"], &value["stream"]), (&"imported".into(), &"shop/web".into()));
        assert!(value["timestamp"].is_string());
    }

    #[test]
    fn the_level_filters_by_module() {
        let debug = logged("warn,tidegate::telemetry=debug", LogFormat::Text, Times::Left);
        assert_eq!(debug.lines().count(), 2);
        assert_eq!(logged("warn", LogFormat::Text, Times::Left), "");
    }

    #[test]
    fn another_stream_than_the_journal_keeps_times() {
        assert_eq!(Times::for_stderr(None), Times::Shown);
        assert_eq!(Times::for_stderr(Some("0:0")), Times::Shown);
    }
}
