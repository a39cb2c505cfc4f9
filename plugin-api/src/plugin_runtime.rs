//! What every plugin's library image needs of its own: a panic hook and a `tracing` subscriber.
//!
//! `tracing` and the panic hook have statics in each image. Without this a plugin's log and the panics on its own threads would
//! vanish.

use std::fmt::Write;
use std::sync::Arc;

use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Level, LevelFilter, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::abi;
use crate::{HostServices, LogRecord};

/// Installs both. A second call in the same image changes nothing.
pub(crate) fn install(services: &Arc<dyn HostServices>) {
    let host = Arc::clone(services);
    let bridge = Registry::default().with(Bridge { host: Arc::clone(services), level: level(services.log_level()) });
    // An image that already has a subscriber (a plugin linked into a test) keeps its own.
    let _ = tracing_core::dispatcher::set_global_default(tracing_core::Dispatch::new(bridge));
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        abi::remember_panic(format!("{message}{place}"));
        host.log(&LogRecord::new(1, "panic", format!("thread {thread} panicked{place}: {message}")));
    }));
}

fn level(number: u8) -> LevelFilter {
    match number {
        0 => LevelFilter::OFF,
        1 => LevelFilter::ERROR,
        2 => LevelFilter::WARN,
        3 => LevelFilter::INFO,
        4 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Sends events to the host, with the fields of the event and of the spans around it.
struct Bridge {
    host: Arc<dyn HostServices>,
    level: LevelFilter,
}

/// A span's fields as text, kept with the span.
struct SpanText(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bridge {
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn enabled(&self, metadata: &tracing_core::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.level
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut text = Text::default();
        attributes.record(&mut text);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanText(text.fields));
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let mut text = Text::default();
        values.record(&mut text);
        if let Some(span) = context.span(id) {
            if let Some(kept) = span.extensions_mut().get_mut::<SpanText>() {
                kept.0.push_str(&text.fields);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut message = String::new();
        for span in context.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            message.push_str(span.name());
            if let Some(kept) = span.extensions().get::<SpanText>() {
                message.push_str(&kept.0);
            }
            message.push_str(": ");
        }
        message.push_str(&text.message);
        message.push_str(&text.fields);
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        self.host.log(&LogRecord::new(level, metadata.target(), message));
    }
}

/// Collects a message and its other fields as ` key=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
