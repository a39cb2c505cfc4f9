//! The program: a command line in, a result on stdout and an exit code out. Everything it does is in the library.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use vmdk2kvm::batch::{self, Around, Show};
use vmdk2kvm::cli::{self, Action, BatchAction, EventsTo, Invocation, render};
use vmdk2kvm::collect;
use vmdk2kvm::config::{self, Command, Input, Job, Request, Surroundings};
use vmdk2kvm::events::{self, ErrorDocument, Event, EventSink};
use vmdk2kvm::journal;
use vmdk2kvm::pipeline;
use vmdk2kvm::plugins::{self, CheckRequest};
use vmdk2kvm::scaffold::{self, Sources};
use vmdk2kvm::worker::{self, Answer};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == worker::WORKER_COMMAND => {
            return worker::serve(Path::new(&arguments.next().unwrap_or_default())).into();
        }
        Some(word) if word == batch::CHILD_COMMAND => return batch::serve_child().into(),
        Some(word) if word == plugins::PLUGIN_COMMAND => return plugins::serve_plugin().into(),
        _ => {}
    }
    let mut named = std::env::args_os().chain(std::env::current_dir().map(PathBuf::into_os_string));
    let code = match (named.try_for_each(|name| cli::check_name(&name)), cli::parse(std::env::args_os(), plugin_flags))
    {
        (Err(error), _) => refuse_early(&error),
        (Ok(()), Ok(invocation)) => act(&invocation),
        (Ok(()), Err(cli::Stop { cause: Some(error), .. })) => refuse_early(&error),
        (Ok(()), Err(stop)) => refuse(&stop),
    };
    code.into()
}

/// The flags of the installed plugins.
fn plugin_flags() -> Result<Vec<cli::PluginFlag>, PluginError> {
    let layers = cli::plugin_layers(std::env::args_os());
    let settings = config::settings(&layers, &Surroundings::of_process())?;
    let found = plugins::installed(&settings.plugins, &mut |_| ())?;
    let usable = found.iter().filter(|candidate| candidate.refused.is_none());
    let manifests = usable.filter_map(|candidate| candidate.manifest.as_ref());
    let enabled = manifests.filter(|manifest| !settings.plugins.disabled.contains(&manifest.name));
    Ok(enabled.flat_map(cli::PluginFlag::of).collect())
}

/// A name on the command line or of the current folder that cannot be handed on, or settings by which the line cannot be read.
fn refuse_early(error: &PluginError) -> u8 {
    let error = ErrorDocument::new(error, None);
    if wants_json() {
        return print(&pretty(&json!({ "error": error })), error.code);
    }
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(render::error(&error).as_bytes());
    error.code
}

fn wants_json() -> bool {
    std::env::args_os().any(|word| word == "--json")
}

/// Usage errors, `--help` and `--version`.
fn refuse(stop: &cli::Stop) -> u8 {
    if stop.exit_code == 0 {
        let text = if std::io::stdout().is_terminal() { &stop.coloured } else { &stop.text };
        return print(text, 0);
    }
    if wants_json() {
        let error = PluginError::new(ErrorKind::Usage, stop.message.clone()).hint("see `vmdk2kvm --help`");
        return print(&pretty(&json!({ "error": ErrorDocument::new(&error, None) })), stop.exit_code);
    }
    let text = if std::io::stderr().is_terminal() { &stop.coloured } else { &stop.text };
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    stop.exit_code
}

fn act(invocation: &Invocation) -> u8 {
    let started = Instant::now();
    if invocation.output.json && invocation.output.events == Some(EventsTo::Stdout) {
        let error = PluginError::new(ErrorKind::Usage, "--json and `--events -` both want stdout")
            .hint("send the events to a file: --events FILE");
        return fail(invocation, &ErrorDocument::new(&error, None), None);
    }
    match &invocation.action {
        Action::Run(request) => run(invocation, request, started),
        Action::Batch(action) => many(invocation, action, started),
        Action::PluginCheck { file, sample } => check(invocation, file, sample.as_deref()),
        Action::Completions(shell) => document(invocation, || text(|out| cli::completions(*shell, out))),
        Action::Man { plugin: None } => document(invocation, || text(|out| cli::manual(out))),
        other => document(invocation, || look(invocation, other).map_err(into_plugin_error)),
    }
}

/// An answer that is for people alone.
fn text(write: impl FnOnce(&mut Vec<u8>) -> Result<(), PluginError>) -> Result<(String, Value), PluginError> {
    let mut text = Vec::new();
    write(&mut text).map(|()| (String::from_utf8_lossy(&text).into_owned(), Value::Null))
}

/// The commands that run no pipeline: text for people and a document for programs.
fn look(invocation: &Invocation, action: &Action) -> anyhow::Result<(String, Value)> {
    let settings = config::settings(&invocation.layers, &Surroundings::of_process())?;
    let mut warnings = Vec::new();
    let installed =
        |warnings: &mut Vec<String>| plugins::installed(&settings.plugins, &mut |warning| warnings.push(warning));
    let answer = match action {
        Action::PluginList => {
            let found = installed(&mut warnings)?;
            let (rows, absent) = (plugins::rows(&found, &settings.plugins), plugins::absent(&found));
            (render::plugins(&rows, &absent), json!({ "plugins": rows, "not_installed": absent }))
        }
        Action::PluginShow { name } => {
            let found = installed(&mut warnings)?;
            let manifest = plugins::manifest(&found, name)?;
            (
                render::manifest(manifest, plugins::Packaging::here()),
                serde_json::to_value(manifest).context("the manifest")?,
            )
        }
        Action::PluginNew { name, kind, api } => {
            let sources = match api {
                Some(folder) => Sources::named(folder)?,
                None => Sources::of_program(&std::env::current_exe().context("the path of this program")?)?,
            };
            let made = scaffold::create(Path::new(""), name, *kind, &sources)?;
            (render::scaffold(&made), json!(made))
        }
        Action::PluginTrust { files } => {
            let warn = &mut |warning| warnings.push(warning);
            let (lock, added) = plugins::trust_plugins(files, &settings.plugins, warn)?;
            (render::trusted(&lock, &added), json!({ "lock": lock, "trusted": added }))
        }
        Action::PluginUntrust { files } => {
            let (lock, removed) = plugins::untrust_plugins(files)?;
            (render::untrusted(&lock, &removed), json!({ "lock": lock, "removed": removed }))
        }
        Action::Doctor => {
            let found = installed(&mut warnings)?;
            diagnosis(&found, &settings)
        }
        Action::Collect { dir, with, to } => {
            let found = installed(&mut warnings)?;
            let (_, mut machine) = diagnosis(&found, &settings);
            machine["plugins"] = json!(plugins::rows(&found, &settings.plugins));
            machine["version"] = json!(env!("CARGO_PKG_VERSION"));
            let collected = collect::collect(dir, with, &machine, to)?;
            (render::collected(&collected), json!(collected))
        }
        Action::ConfigShow => (events::escape_lines(&settings.masked_toml()), settings.masked()),
        Action::ConfigCheck => {
            let found = installed(&mut warnings)?;
            warnings.extend(plugins::check_settings(&found, &settings.plugin)?);
            ("the settings are valid\n".to_owned(), json!({ "valid": true }))
        }
        Action::Man { plugin: Some(name) } => {
            let found = installed(&mut warnings)?;
            text(|out| cli::plugin_page(plugins::manifest(&found, name)?, out))?
        }
        Action::Run(_)
        | Action::Batch(_)
        | Action::PluginCheck { .. }
        | Action::Completions(_)
        | Action::Man { plugin: None } => (String::new(), Value::Null),
    };
    for warning in warnings {
        // A warning that cannot be shown is lost; the answer is not.
        let _ = writeln!(std::io::stderr(), "warning: {}", events::escape(&warning));
    }
    Ok(answer)
}

/// What this machine lacks, and what was left at sources.
fn diagnosis(found: &[plugins::Candidate], settings: &config::Settings) -> (String, Value) {
    let abilities = plugins::abilities(found, &settings.plugins);
    let mut needs = plugins::needs(found);
    needs.extend(plugins::setting_files(found, &settings.plugin));
    needs.push(plugins::containment(worker::offered()));
    let holds = journal::holds_left();
    let text = render::doctor(&needs, &abilities, plugins::Packaging::here()) + &render::holds(&holds);
    (text, json!({ "needs": needs, "abilities": abilities, "holds": holds }))
}

fn into_plugin_error(error: anyhow::Error) -> PluginError {
    error.downcast::<PluginError>().unwrap_or_else(|error| PluginError::defect(format!("{error:#}")))
}

/// Prints what a command without pipeline answered.
fn document(invocation: &Invocation, answer: impl FnOnce() -> Result<(String, Value), PluginError>) -> u8 {
    match answer() {
        Ok((_, value)) if invocation.output.json && !value.is_null() => print(&pretty(&value), 0),
        Ok((text, _)) => print(&text, 0),
        Err(error) => fail(invocation, &ErrorDocument::new(&error, None), None),
    }
}

/// The commands that run the pipeline, in a worker process.
fn run(invocation: &Invocation, request: &Request, started: Instant) -> u8 {
    let surroundings = Surroundings::of_process();
    let prepared = pipeline::remembered(request, &invocation.layers, &surroundings)
        .and_then(|(request, layers)| config::resolve(&request, &layers, &surroundings))
        .and_then(|job| Ok((cli::reporters(&invocation.output, job.command, started)?, job)));
    let (reporters, job) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(invocation, &ErrorDocument::new(&error, None), None),
    };
    let sink = EventSink::new(reporters);
    sink.emit(Event::RunStarted { schema: events::SCHEMA, source: job.label(), vm: job.settings.name.clone() });
    let Answer { result, mut error } = worker::run(&job, &sink);
    if let Some(error) = error.as_mut().filter(|error| error.code == ErrorKind::Interrupted.exit_code()) {
        error.hint = (!job.command.is_read_only()).then(|| cli::resume_hint(std::env::args_os()));
    }
    let exit_code = error.as_ref().map_or(0, |error| error.code);
    let seconds = started.elapsed().as_secs_f64();
    sink.emit(Event::RunFinished { exit_code, seconds, error: error.clone() });
    drop(sink);
    match error {
        Some(error) => {
            let shown = result.map(|result| {
                let text = show(invocation, &job, &result);
                (result, text)
            });
            fail(invocation, &error, shown)
        }
        None => print_result(invocation, &show(invocation, &job, &result.unwrap_or(Value::Null))),
    }
}

/// `batch`: many VMs, each in a process of its own.
fn many(invocation: &Invocation, action: &BatchAction, started: Instant) -> u8 {
    let surroundings = Surroundings::of_process();
    let show = match (invocation.output.quiet, cli::watched(&invocation.output)) {
        (true, _) => Show::Nothing,
        (false, true) => Show::Screen,
        (false, false) => Show::Lines,
    };
    let around = |events| Around { layers: &invocation.layers, surroundings: &surroundings, started, show, events };
    let answer = match action {
        BatchAction::Run { asked, which, task } => cli::event_file(&invocation.output)
            .and_then(|events| batch::run(asked, which, *task, around(events)))
            .map(|ran| (render::batch(&ran.end, ran.estimate.as_ref()), json!(ran), ran.end.error())),
        BatchAction::Status { asked } => {
            batch::status(asked).map(|status| (render::batch_status(&status), json!(status), None))
        }
        BatchAction::Export { asked, to, folder } => batch::export(to, asked, folder, &around(None))
            .map(|exported| (render::exported(&exported), json!(exported), None)),
    };
    match answer {
        Ok((text, value, Some(error))) => fail(invocation, &error, Some((value, text))),
        Ok((_, value, None)) if invocation.output.json => print(&pretty(&value), 0),
        Ok((text, _, None)) => print_result(invocation, &text),
        Err(error) => fail(invocation, &ErrorDocument::new(&error, None), None),
    }
}

/// `plugin check`, in a worker process: a bad plugin's crash is an answer, too.
fn check(invocation: &Invocation, file: &Path, sample: Option<&str>) -> u8 {
    let settings = match config::settings(&invocation.layers, &Surroundings::of_process()) {
        Ok(settings) => settings.plugin,
        Err(error) => return fail(invocation, &ErrorDocument::new(&error, None), None),
    };
    let request = CheckRequest { file: file.to_owned(), sample: sample.map(str::to_owned), settings };
    let Answer { result, error } = worker::check(&request, &EventSink::default());
    let shown = result.map(|result| {
        let text =
            serde_json::from_value(result.clone()).map_or_else(|_| pretty(&result), |found| render::checked(&found));
        (result, text)
    });
    match (error, shown) {
        (Some(error), shown) => fail(invocation, &error, shown),
        (None, Some((result, _))) if invocation.output.json => print(&pretty(&result), 0),
        (None, shown) => print(&shown.unwrap_or_default().1, 0),
    }
}

/// Says what went wrong, and shows the result that there is all the same, as a document or as text: a blocked plan, a migration whose test
/// failed, a plugin's broken promises.
fn fail(invocation: &Invocation, error: &ErrorDocument, result: Option<(Value, String)>) -> u8 {
    if invocation.output.json {
        let mut answer = match result {
            Some((Value::Object(members), _)) => members,
            _ => serde_json::Map::new(),
        };
        answer.insert("error".to_owned(), json!(error));
        return print(&pretty(&Value::Object(answer)), error.code);
    }
    if let Some((_, text)) = result {
        print_result(invocation, &text);
    }
    // Nobody is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(render::error(error).as_bytes());
    error.code
}

/// A result as the user wants to see it.
fn show(invocation: &Invocation, job: &Job, result: &Value) -> String {
    if invocation.output.json {
        return pretty(result);
    }
    let text = match job.command {
        Command::Inventory => serde_json::from_value(result["vms"].clone()).map(|vms: Vec<_>| render::inventory(&vms)),
        Command::Inspect => serde_json::from_value(result["vm"].clone())
            .and_then(|vm| Ok(render::inspection(&vm, &serde_json::from_value(result.clone())?))),
        Command::Plan => {
            let colour = std::io::stdout().is_terminal();
            let ways = || serde_json::from_value::<Vec<_>>(result["ways"].clone());
            serde_json::from_value(result.clone())
                .and_then(|plan| Ok(render::plan(&plan, colour) + &render::ways(&ways()?)))
        }
        Command::Release => Ok(render::released(result)),
        Command::Define => Ok(render::defined(result)),
        Command::LiveFix | Command::RollBack => Ok(render::live_fixed(result)),
        _ => {
            let dir = match &job.input {
                Input::Result { dir } => dir.clone(),
                _ => job.settings.output.clone().unwrap_or_default(),
            };
            serde_json::from_value(result.clone()).map(|report| render::report(&report, &dir))
        }
    };
    text.unwrap_or_else(|_| pretty(result))
}

/// As JSON that is safe on a terminal and means the same.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).map_or_else(|_| String::new(), |text| events::safe_json(&text) + "\n")
}

/// Prints a run's result: to stdout, unless the events are there.
fn print_result(invocation: &Invocation, text: &str) -> u8 {
    if invocation.output.events != Some(EventsTo::Stdout) {
        return print(text, 0);
    }
    if !invocation.output.quiet {
        // Nobody is left to tell when stderr is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    0
}

/// Prints to stdout. A reader that has gone away is not an error; a full disk is.
fn print(text: &str, code: u8) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => code,
        Err(_) => ErrorKind::Output.exit_code(),
    }
}
