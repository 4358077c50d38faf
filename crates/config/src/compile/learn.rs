//! What a route keeps to learn from.
//!
//! Owns that setting. Prompts are private: nothing is kept unless the route says so, and it has to say what.

use crate::compile::Compiler;
use crate::file::{File, KeepSetting, RouteSettings};
use trunkline_route::learned::KeepPrompts;

pub(super) fn learn(
    name: &str,
    settings: &RouteSettings,
    file: &File,
    compiler: &mut Compiler<'_>,
) -> Option<KeepPrompts> {
    let learn = settings.learn.as_ref()?;
    let path = ["routes", name, "learn"];
    let Some(keep) = learn.keep else {
        let hint = "`keep: vectors` keeps what prompts look like, `keep: text` their text".to_owned();
        compiler.error(&path, "`learn` does not say what to keep", Some(hint));
        return None;
    };
    if file.store.as_deref() == Some("memory") {
        compiler.error(
            &path,
            "this has no effect: the store is `memory`, and prompts are kept beside a log in a file only",
            Some("set for example `store: sqlite:trunkline.db`, or take `learn` out".to_owned()),
        );
        return None;
    }
    Some(match keep {
        KeepSetting::Vectors => KeepPrompts::Vectors,
        KeepSetting::Text => KeepPrompts::Text,
    })
}
