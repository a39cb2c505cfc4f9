//! Writes raw images: copies what it is given, a piece at a time.

use std::fs::File;
use std::io::{Read, Write};

use vmdk2kvm_plugin_api::model::{CommitOverlay, Convert, CreateOverlay};
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, PluginError, Result, export_plugin};

const FORMAT: &str = "raw";
/// Bytes copied between two questions whether to stop.
const PIECE: usize = 1 << 20;

#[derive(Clone)]
struct MyPlugin {
    host: Host,
}

impl Converter for MyPlugin {
    fn formats(&self) -> Vec<String> {
        vec![FORMAT.into()]
    }
    fn create_overlay(&self, request: &CreateOverlay) -> Result<()> {
        Err(PluginError::unusable(format!("{}: this converter makes no overlays", request.overlay)))
    }
    fn commit_overlay(&self, request: &CommitOverlay) -> Result<()> {
        Err(PluginError::unusable(format!("{}: this converter commits no overlays", request.overlay)))
    }
    fn convert(&self, request: &Convert) -> Result<()> {
        for format in [&request.source_format, &request.target_format] {
            if format != FORMAT {
                return Err(PluginError::unusable(format!("{}: the format {format} is not known here", request.source)));
            }
        }
        let of_source = |error| PluginError::from_io(&request.source, &error);
        let of_target = |error| PluginError::from_io(&request.target, &error);
        let mut source = File::open(&request.source).map_err(of_source)?;
        let total = source.metadata().map_err(of_source)?.len();
        // What exists is not replaced.
        let mut target = File::create_new(&request.target).map_err(of_target)?;
        let (mut piece, mut done) = (vec![0; PIECE], 0);
        loop {
            self.host.check_cancelled()?;
            let read = source.read(&mut piece).map_err(of_source)?;
            if read == 0 {
                break;
            }
            target.write_all(&piece[..read]).map_err(of_target)?;
            done += read as u64;
            self.host.progress("convert", done, total);
        }
        target.sync_all().map_err(of_target)
    }
}

impl Plugin for MyPlugin {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }
    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(self.clone()))
    }
}

export_plugin! {
    plugin: MyPlugin,
    name: "my-plugin",
    summary: "Writes raw images",
    kinds: ["converter"],
    capabilities: ["raw"],
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::{FakeHost, conformance};

    use super::*;

    #[test]
    fn keeps_the_promises_of_a_converter() {
        let fake = FakeHost::new();
        let plugin = MyPlugin::new(fake.without_settings()).unwrap();
        conformance::converter(&plugin, &fake).assert();
        assert!(fake.progress().iter().any(|progress| progress.done == progress.total), "{:?}", fake.progress());
    }
}
