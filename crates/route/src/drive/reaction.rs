//! The reaction to each class of failure, as a table.
//!
//! Owns the map from a class to what may follow it. Must not know deployments, time or state: the machine applies the table.
//! One exhaustive match, so that a new class cannot be forgotten.

use trunkline_model::failure::FailureClass;

/// What may follow a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Whether another deployment may be asked, and which.
    pub elsewhere: Elsewhere,
    /// Whether the same deployment may be asked again.
    pub again: Again,
    /// Whether the next attempt is paid from the fleet's retry budget: those that answer trouble upstream are.
    pub paid: bool,
    /// Whether an upstream call was made, which counts as an attempt.
    pub sent: bool,
    /// Whether the rest of a broken-off answer may come from another deployment.
    pub continues: bool,
}

/// Which other deployments may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The next of the plan.
    Next,
    /// Those the plan lists for rate limits, otherwise the next.
    RateLimitList,
    /// Those with a larger context window, from then on only those.
    LargerContext,
    /// Those the plan lists for refused content, from then on only those.
    ContentList,
    /// Those listed for answers found wanting, from then on only those; without a list the next of the plan.
    BetterList,
    /// The next whose credentials are not known to be rejected.
    OtherCredentials,
    /// None: the outcome would be the same.
    Never,
}

/// Whether the same deployment may be asked again in this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After a short random back-off, or the Retry-After it gave.
    AfterBackoff,
    /// After the Retry-After it gave, or a guess.
    AfterRetryAfter,
    /// Not in this request.
    Never,
}

/// What may follow a failure of this class.
#[must_use]
pub const fn reaction(class: FailureClass) -> Reaction {
    use FailureClass as Class;
    let trouble = Reaction {
        elsewhere: Elsewhere::Next,
        again: Again::AfterBackoff,
        paid: true,
        sent: true,
        continues: true,
    };
    let last = Reaction {
        elsewhere: Elsewhere::Never,
        again: Again::Never,
        paid: false,
        sent: true,
        continues: false,
    };
    match class {
        Class::Resolve
        | Class::Connect
        | Class::Tls
        | Class::ConnectTimeout
        | Class::Server
        | Class::Overloaded
        | Class::FirstTokenTimeout
        | Class::Stall
        | Class::Cut
        | Class::Malformed => trouble,
        // Nothing is wrong upstream, so the budget against storms has no say; the attempts of the request bound it.
        Class::BadAnswer => {
            Reaction { elsewhere: Elsewhere::BetterList, paid: false, continues: false, ..trouble }
        }
        Class::RateLimited => {
            Reaction { elsewhere: Elsewhere::RateLimitList, again: Again::AfterRetryAfter, ..trouble }
        }
        Class::QuotaExhausted => {
            Reaction { elsewhere: Elsewhere::RateLimitList, again: Again::Never, ..trouble }
        }
        Class::Credentials => {
            Reaction { elsewhere: Elsewhere::OtherCredentials, again: Again::Never, ..trouble }
        }
        Class::NotFound => Reaction { again: Again::Never, continues: false, ..trouble },
        Class::ContextTooLong => Reaction { elsewhere: Elsewhere::LargerContext, ..last },
        Class::RequestTooLarge => Reaction { elsewhere: Elsewhere::Next, ..last },
        Class::ContentRefused => Reaction { elsewhere: Elsewhere::ContentList, ..last },
        Class::Unsupported => Reaction { elsewhere: Elsewhere::Next, sent: false, ..last },
        Class::LocalLimit => Reaction {
            elsewhere: Elsewhere::RateLimitList,
            again: Again::AfterRetryAfter,
            sent: false,
            ..last
        },
        Class::BadRequest | Class::TotalTimeout | Class::Overtaken | Class::ClientGone => last,
    }
}
