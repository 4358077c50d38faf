//! What accounts say, across restarts: money spent under daily caps, how checks fared, and who made the sealed state of conversations.
//!
//! Owns gathering what changed, the form in which it is kept, and taking it up again. Must not decide what may be spent: that is
//! each account's. Non-obvious: calls under way are kept as all they can cost, so that a process that is killed leaves an account
//! that says too much rather than too little. What was spent since accounts were kept last is all that such a process forgets.

use crate::clock;
use crate::state::{Gateway, Generation};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use trunkline_model::id::Name;
use trunkline_model::money::NanoDollars;
use trunkline_route::cascade::SavedAudit;
use trunkline_route::shadow::SavedShadow;
use trunkline_store::StoredAccount;

/// What copies of a route's requests cost.
const SHADOW: &str = "shadow";
/// What questions to a classifier model cost.
const CLASSIFIER: &str = "classifier";
/// What a route's own requests cost.
const ROUTE: &str = "route";
/// How the checks of a route's cascade fared; of every day.
const AUDIT: &str = "audit";

/// Who made sealed state, page by page.
const SEALED: &str = "sealed";

/// What was kept last.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<(&'static str, Name), StoredAccount>>);

/// The day in days since the Unix epoch.
fn today() -> u64 {
    clock::unix_seconds() / 86_400
}

/// Keeps what changed since the last time. Never waits.
pub(crate) fn keep(gateway: &Gateway) {
    let mut kept = gateway.kept_accounts.0.lock();
    // What other days said is in the store as long as it is of use.
    let day = today();
    kept.retain(|(kind, _), account| *kind == AUDIT || account.day + 1 >= day);
    let changed: Vec<_> = all(gateway, &gateway.generation(), day)
        .into_iter()
        .filter(|(kind, name, account)| kept.get(&(*kind, Name::clone(name))) != Some(account))
        .collect();
    if changed.is_empty() {
        return;
    }
    let accounts = changed.iter().map(|(_, _, account)| account.clone()).collect();
    if gateway.learning.keep_accounts(accounts) {
        kept.extend(changed.into_iter().map(|(kind, name, account)| ((kind, name), account)));
    } else {
        tracing::warn!("what was spent under daily caps was not kept: too much is waiting to be written");
    }
}

type Account = (&'static str, Name, StoredAccount);

/// What all accounts say.
fn all(gateway: &Gateway, generation: &Generation, today: u64) -> Vec<Account> {
    let mut accounts = Vec::new();
    for (name, budget) in generation.shadow_budgets() {
        let saved = budget.saved();
        accounts.extend(account(SHADOW, name, saved.day, &saved));
    }
    for (name, day, sum) in gateway.allowances.sums() {
        accounts.extend(account(CLASSIFIER, &name, day, &sum.nanos()));
    }
    for (name, day, sum) in gateway.spend.sums() {
        accounts.extend(account(ROUTE, &name, day, &sum.nanos()));
    }
    for (name, book) in generation.audit_books() {
        let saved = book.saved();
        if saved.all > 0 {
            accounts.extend(account(AUDIT, name, today, &saved));
        }
    }
    for (page, day, state) in generation.makers.saved() {
        let name = Name::from(page.to_string());
        let (kind, state) = (SEALED.to_owned(), state.to_string());
        accounts.push((
            SEALED,
            Name::clone(&name),
            StoredAccount { kind, name: name.to_string(), day, state },
        ));
    }
    // Of a day that is over nothing has to be known, and an account nobody used yet is of no day.
    accounts.retain(|(_, _, account)| account.day + 1 >= today);
    accounts
}

fn account(kind: &'static str, name: &Name, day: u64, state: &impl Serialize) -> Option<Account> {
    let state = serde_json::to_string(state).ok()?;
    let stored = StoredAccount { kind: kind.to_owned(), name: name.to_string(), day, state };
    Some((kind, Name::clone(name), stored))
}

/// Takes up what accounts said before the process was started.
pub(crate) fn restore(gateway: &Gateway, stored: &[StoredAccount]) {
    let day = today();
    let mut kept = gateway.kept_accounts.0.lock();
    for account in stored {
        let Some(kind) =
            [SHADOW, CLASSIFIER, ROUTE, AUDIT, SEALED].into_iter().find(|kind| *kind == account.kind)
        else {
            continue;
        };
        let name = Name::from(account.name.as_str());
        let amount = || read::<i64>(account).filter(|nanos| *nanos >= 0).map(NanoDollars);
        match kind {
            // A day that is yet to come is a clock's mistake; it must not close an account for good.
            CLASSIFIER if account.day == day => {
                if let Some(sum) = amount() {
                    gateway.allowances.restore(Name::clone(&name), day, sum);
                }
            }
            ROUTE if account.day == day => {
                if let Some(sum) = amount() {
                    gateway.spend.restore(Name::clone(&name), day, sum);
                }
            }
            SEALED => {
                let page = account.name.parse().unwrap_or(usize::MAX);
                if !gateway.generation().makers.restore(page, &account.state) {
                    unusable(SEALED, &name);
                }
            }
            _ => {}
        }
        kept.insert((kind, name), account.clone());
    }
    drop(kept);
    take_up(gateway, &gateway.generation(), None);
}

/// Gives the accounts of routes that were not there before what was kept of them.
pub(crate) fn take_up(gateway: &Gateway, generation: &Generation, before: Option<&Generation>) {
    let kept = gateway.kept_accounts.0.lock();
    let find = |kind, name: &Name| kept.get(&(kind, Name::clone(name)));
    let is_new = |name: &str| before.is_none_or(|before| before.shadow_budget(name).is_none());
    for (name, budget) in generation.shadow_budgets().filter(|(name, _)| is_new(name)) {
        if let Some(saved) = find(SHADOW, name).and_then(read::<SavedShadow>)
            && saved.day <= today()
            && !budget.restore(&saved)
        {
            unusable(SHADOW, name);
        }
    }
    for (name, book) in generation.audit_books() {
        if let Some(saved) = find(AUDIT, name).and_then(read::<SavedAudit>)
            && !book.restore(&saved)
        {
            unusable(AUDIT, name);
        }
    }
}

fn read<T: DeserializeOwned>(account: &StoredAccount) -> Option<T> {
    let read = serde_json::from_str(&account.state);
    if let Err(error) = &read {
        tracing::warn!(kind = account.kind, name = account.name, %error, "a kept account cannot be read; it starts anew");
    }
    read.ok()
}

fn unusable(kind: &str, name: &Name) {
    tracing::warn!(kind, name = &**name, "a kept account says what none can; it starts anew");
}
