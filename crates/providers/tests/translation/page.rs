//! The page in `docs/reference`.

use crate::judge::{Verdict, judge};
use crate::probes::Client;
use crate::targets::Target;
use std::fmt::Write as _;

pub(crate) fn write(clients: &[Client], targets: &[Target]) -> String {
    let mut page = String::from(
        "# Translation\n\n\
         What becomes of each feature of a client's protocol at each kind of provider. This page is written by the code it is about: a\n\
         probe with the feature goes through the codecs, and a test fails when anything neither arrives nor is warned of nor refused.\n\n\
         - **passed**: it arrives, under the provider's name for it;\n\
         - **emulated**: reached with other means; `x-trunkline-warnings` says how;\n\
         - **dropped**: left out; `x-trunkline-warnings` says so;\n\
         - **refused**: leaving it out would change the meaning, so the request goes to another deployment or is answered 400.\n\n\
         Whatever is not passed is refused with `x-trunkline-strict: true` or a route's `strict: true`. With\n\
         `x-trunkline-require: parameters`, `provider.require_parameters` in the body, or a route's `require_parameters: true`, only\n\
         deployments are chosen that neither drop nor refuse anything of the request.\n\n\
         The models behind the columns:\n\n",
    );
    for target in targets {
        let _ = writeln!(page, "- {}: `{}/{}`", target.name, target.preset, target.model);
    }
    page.push_str("\nModels differ: a deployment's own catalogue entry and preset decide. Files by URL count as fetched where needed.\n");
    for client in clients {
        let _ = write!(page, "\n## From {}\n\n| feature |", client.name);
        for target in targets {
            let _ = write!(page, " {} |", target.name);
        }
        let _ = write!(page, "\n|---|{}\n", "---|".repeat(targets.len()));
        let mut reasons = String::new();
        for probe in &client.probes {
            let _ = write!(page, "| {} |", probe.feature);
            let mut told: Vec<(String, Vec<&str>)> = Vec::new();
            for target in targets {
                let outcome = judge(client, probe, target);
                let _ = write!(page, " {} |", outcome.verdict.name());
                if outcome.verdict == Verdict::Passed {
                    continue;
                }
                let mut reason = outcome.reasons;
                reason.dedup();
                let reason = reason.join("; ");
                match told.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, names)) => names.push(target.name),
                    None => told.push((reason, vec![target.name])),
                }
            }
            page.push('\n');
            for (reason, names) in told {
                let _ = writeln!(reasons, "- {}, {}: {reason}", probe.feature, names.join(", "));
            }
        }
        let _ = write!(page, "\nWhy, where it is not passed:\n\n{reasons}");
    }
    page
}
