//! Asking many questions, some at a time.
//!
//! Owns concurrency, the spend cap at work, and the judges' part. An outcome is handed over as soon as it is there.

use super::Question;
use super::client::{self, Reply};
use super::spend::{JUDGEMENT_TOKENS, Spend};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::task::JoinSet;
use trunkline_lab::evaluate::{Judged, Outcome, RowCheck, grade};
use trunkline_route::cascade::{Answer, Judge};

pub(super) struct Runner {
    address: SocketAddr,
    judge: Option<String>,
    jobs: usize,
    spend: Spend,
    running: JoinSet<(f64, Outcome)>,
}

impl Runner {
    pub(super) fn new(address: SocketAddr, judge: Option<String>, jobs: usize, spend: Spend) -> Self {
        Self { address, judge, jobs, spend, running: JoinSet::new() }
    }

    /// Asks; returns how many questions were not asked because the cap has no room for them.
    pub(super) async fn run(
        &mut self,
        questions: Vec<Question>,
        mut keep: impl FnMut(Outcome) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let mut questions = questions.into_iter().peekable();
        while let Some(question) = questions.peek() {
            if self.running.len() >= self.jobs {
                self.settle_one(&mut keep).await?;
                continue;
            }
            match self.spend.reserve(question) {
                Some(reserved) => {
                    if let Some(question) = questions.next() {
                        let (address, judge) = (self.address, self.judge.clone());
                        self.running.spawn(async move {
                            (reserved, answer(address, judge.as_deref(), &question).await)
                        });
                    }
                }
                // What runs may cost less than was reserved.
                None if !self.running.is_empty() => self.settle_one(&mut keep).await?,
                None => break,
            }
        }
        while !self.running.is_empty() {
            self.settle_one(&mut keep).await?;
        }
        Ok(questions.count())
    }

    async fn settle_one(
        &mut self,
        keep: &mut impl FnMut(Outcome) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(ended) = self.running.join_next().await else { return Ok(()) };
        let (reserved, outcome) = ended?;
        let cost = outcome.cost_usd.zip(outcome.judge_cost_usd).map(|(own, judges)| own + judges);
        self.spend.settle(reserved, cost);
        keep(outcome)
    }
}

async fn answer(address: SocketAddr, judge: Option<&str>, question: &Question) -> Outcome {
    let mut body = Value::Object(question.row.body.clone());
    body["model"] = question.asked.target.as_str().into();
    let Reply { answer, cost_usd, deployment, took } = client::ask(address, &body).await;
    let mut outcome = Outcome {
        asked: question.asked.clone(),
        error: None,
        answer: None,
        grade: None,
        deployment,
        cost_usd,
        judge_cost_usd: Some(0.0),
        total_ms: took.as_secs_f64() * 1_000.0,
    };
    match answer {
        Ok(answer) => {
            let judged = judged(address, judge, question, &answer, &mut outcome.judge_cost_usd).await;
            outcome.grade = Some(grade(&question.row, &answer, &judged));
            outcome.answer = Some(answer.text);
        }
        Err(error) => outcome.error = Some(error),
    }
    outcome
}

/// One judgement for each check that wants one.
async fn judged(
    address: SocketAddr,
    judge: Option<&str>,
    question: &Question,
    answer: &Answer,
    cost: &mut Option<f64>,
) -> Judged {
    let mut judged = Vec::new();
    let Some(name) = judge else { return judged };
    for check in &question.row.checks {
        let RowCheck::Judge { rubric, least } = check else { continue };
        let judge = Judge { deployments: Vec::new(), rubric: rubric.clone(), least: *least };
        let body = json!({
            "model": name,
            "temperature": 0,
            "max_tokens": JUDGEMENT_TOKENS,
            "messages": [
                {"role": "system", "content": judge.instruction()},
                {"role": "user", "content": Judge::material(&question.row.input, &answer.text)},
            ],
        });
        let reply = client::ask(address, &body).await;
        *cost = cost.zip(reply.cost_usd).map(|(sum, one)| sum + one);
        judged.push(match reply.answer {
            Ok(judgement) => Judge::score(&judgement.text).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        });
    }
    judged
}
