//! Turns the host's own `tracing` events into [`Event::Log`].
//!
//! Plugins have their own `tracing`; their records come through the plugin contract and are not this layer's business.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{Event, EventSink, LogLevel};

/// A `tracing` layer that sends log lines to an [`EventSink`].
pub struct EventLayer {
    sink: EventSink,
    limit: LevelFilter,
}

impl EventLayer {
    /// Sends to `sink` what is not less important than `level`.
    pub fn new(sink: EventSink, level: LogLevel) -> Self {
        let limit = match level {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        Self { sink, limit }
    }
}

/// A span's name and fields, kept with the span.
struct Said(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for EventLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= self.limit { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.limit
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.limit)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let fields = if fields.rest.is_empty() { String::new() } else { format!("{{{}}}", fields.rest) };
            span.extensions_mut().insert(Said(format!("{}{fields}", span.name())));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut message = String::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(Said(said)) = span.extensions().get::<Said>() {
                message.push_str(said);
                message.push_str(": ");
            }
        }
        message.push_str(&fields.message);
        if !fields.rest.is_empty() {
            message.push(' ');
            message.push_str(&fields.rest);
        }
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        };
        self.sink.emit(Event::Log { level, target: event.metadata().target().to_owned(), plugin: None, message });
    }
}

/// Collects a message and, as `key=value`, the other fields.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            let space = if self.rest.is_empty() { "" } else { " " };
            write!(self.rest, "{space}{}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::events::Recorder;

    #[test]
    fn tracing_becomes_log_events_with_spans_and_fields() {
        let recorder = Recorder::default();
        let layer = EventLayer::new(EventSink::new(vec![Box::new(recorder.clone())]), LogLevel::Info);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("disk", index = 2);
            let _entered = span.enter();
            tracing::info!(target: "copy", bytes = 7, name = "a b", "copied {}", 1);
            tracing::debug!("not kept");
        });
        assert_eq!(
            recorder.events(),
            [Event::Log {
                level: LogLevel::Info,
                target: "copy".into(),
                plugin: None,
                message: "disk{index=2}: copied 1 bytes=7 name=\"a b\"".into(),
            }]
        );
    }
}
