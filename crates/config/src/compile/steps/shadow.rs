//! A route's shadow.
//!
//! Owns its bounds: a share of the requests, a share of the spending.

use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::file::ShadowSettings;
use crate::scalar;
use trunkline_route::policy::Shadow;

/// Compiles a route's shadow.
pub(crate) fn shadow(
    route: &str,
    settings: Option<&ShadowSettings>,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Shadow> {
    let settings = settings?;
    let path = |field| ["routes", route, "shadow", field];
    if settings.deployment.is_empty() {
        let hint = "for example `shadow: { deployment: openai/gpt-5-mini, share: 1% }`".to_owned();
        compiler.error(&["routes", route, "shadow"], "`shadow` has no `deployment`", Some(hint));
        return None;
    }
    let deployment = fleet.resolve(&path("deployment"), &settings.deployment, compiler);
    let share = match settings.share.as_ref() {
        None => Some(0.01),
        written => compiler.read(&path("share"), written, |text| {
            scalar::share(text).and_then(|share| match share > 0.0 {
                true => Ok(share),
                false => Err("a shadow with a share of 0 never gets a copy".to_owned()),
            })
        }),
    };
    let spend_cap = match settings.spend_cap.as_ref() {
        None => Some(0.05),
        written => compiler.read(&path("spend_cap"), written, scalar::share),
    };
    let shadow = Shadow { deployment: deployment?, share: share?, spend_cap: spend_cap? };
    // Decisions name the candidate; until copies are sent nobody must believe that they are.
    compiler.warning(
        &["routes", route, "shadow"],
        "this has no effect yet: decisions name the shadow, and no copy is sent to it",
        None,
    );
    Some(shadow)
}
