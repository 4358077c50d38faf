//! Checking what the general interpreter will evaluate.
//!
//! Owns the walk over such an expression: every name must exist, every function be allowed, and the whole give true or false.
//! Types inside are left to the interpreter, whose errors become a rule without an answer.

use super::names::{FUNCTIONS, nearest_functions, path, unknown};
use super::{Checker, Mistake, Problem, comparison, map_of};
use crate::cel::foreign::Foreign;
use crate::cel::node::Node;
use crate::features::{Feature, FeatureKind, FeatureSet};
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Functions that always give true or false.
const CONDITIONS: [&str; 6] = ["startsWith", "endsWith", "contains", "matches", "bool", operators::IN];

impl Checker {
    /// An expression for the general interpreter, which must give true or false.
    pub(super) fn outside(&mut self, expression: &IdedExpr) -> Result<Node, Mistake> {
        let mut expression = expression.clone();
        let gives_bool = match &expression.expr {
            Expr::Call(call) => {
                comparison(&call.func_name).is_some() || CONDITIONS.contains(&call.func_name.as_str())
            }
            Expr::Comprehension(comprehension) => {
                matches!(comprehension.accu_init.expr, Expr::Literal(LiteralValue::Boolean(_)))
                    || comparison_result(comprehension)
            }
            _ => false,
        };
        if !gives_bool {
            return Err(Mistake { at: expression.id, problem: Problem::UnknownType });
        }
        let mut walk = Walk { depth: 0, checker: self, bound: Vec::new(), features: FeatureSet::EMPTY };
        walk.visit(&mut expression)?;
        let features = walk.features;
        self.features = self.features.union(features);
        Ok(Node::Foreign(Box::new(Foreign { expression, features })))
    }
}

/// `exists_one` counts and compares at the end.
fn comparison_result(comprehension: &ComprehensionExpr) -> bool {
    matches!(&comprehension.result.expr, Expr::Call(call) if comparison(&call.func_name).is_some())
}

/// Deepest nesting the interpreter is asked to follow: it recurses on the stack of whoever decides, with frames of several
/// kilobytes in an unoptimised build.
const DEEPEST: usize = 48;

struct Walk<'a> {
    depth: usize,
    checker: &'a mut Checker,
    /// Names that macros introduced.
    bound: Vec<String>,
    features: FeatureSet,
}

impl Walk<'_> {
    fn visit(&mut self, expression: &mut IdedExpr) -> Result<(), Mistake> {
        self.depth += 1;
        let outcome = if self.depth > DEEPEST {
            Err(Mistake { at: expression.id, problem: Problem::TooDeep { limit: DEEPEST } })
        } else {
            self.visit_inside(expression)
        };
        self.depth -= 1;
        outcome
    }

    fn visit_inside(&mut self, expression: &mut IdedExpr) -> Result<(), Mistake> {
        let at = expression.id;
        if let Some(name) = path(&expression.expr) {
            return self.name(at, &name);
        }
        match &mut expression.expr {
            Expr::Select(select) if select.test => {
                let what = "`has(...)` inside a macro or beside a computed text";
                Err(Mistake { at, problem: Problem::Unsupported { what } })
            }
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::Call(call) => self.call(at, call),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&mut entry.key)?;
                    self.visit(&mut entry.value)
                }
                EntryExpr::StructField(field) => self.visit(&mut field.value),
            }),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) => {
                Err(Mistake { at, problem: Problem::Unsupported { what: "a message literal" } })
            }
            Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified => Ok(()),
        }
    }

    fn name(&mut self, at: u64, name: &str) -> Result<(), Mistake> {
        let root = name.split('.').next().unwrap_or(name);
        if self.bound.iter().any(|bound| bound == root) {
            return Ok(());
        }
        if let Some(feature) = Feature::find(name) {
            return self.feature(at, feature);
        }
        let entry = name.rsplit_once('.').and_then(|(map, key)| Some((Feature::find(map)?, key)));
        match entry {
            Some((map, key)) if map.kind() == FeatureKind::Map => {
                self.checker.key(map, key);
                self.features = self.features.with(map);
                Ok(())
            }
            _ => Err(Mistake { at, problem: unknown(name) }),
        }
    }

    fn feature(&mut self, at: u64, feature: Feature) -> Result<(), Mistake> {
        if feature == Feature::Headers {
            return Err(Mistake { at, problem: Problem::Unsupported { what: "all headers together" } });
        }
        self.features = self.features.with(feature);
        Ok(())
    }

    fn call(&mut self, at: u64, call: &mut CallExpr) -> Result<(), Mistake> {
        let name = call.func_name.as_str();
        let is_operator = name.starts_with(['_', '@', '!', '-']);
        if !is_operator && !FUNCTIONS.contains(&name) {
            let problem = Problem::UnknownFunction { name: name.to_owned(), near: nearest_functions(name) };
            return Err(Mistake { at, problem });
        }
        let header = match (name, call.args.as_mut_slice()) {
            (operators::INDEX, [map, key]) if map_of(map) == Some(Feature::Headers) => Some(key),
            (operators::IN, [key, map]) if map_of(map) == Some(Feature::Headers) => Some(key),
            _ => None,
        };
        if let Some(key) = header {
            return self.header(key);
        }
        if let Some(target) = &mut call.target {
            self.visit(target)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.visit(argument))
    }

    /// A header read by name; the name is put in lower case, as the headers are.
    fn header(&mut self, key: &mut IdedExpr) -> Result<(), Mistake> {
        let Expr::Literal(LiteralValue::String(text)) = &mut key.expr else {
            let problem = Problem::ComputedKey { map: Feature::Headers.name() };
            return Err(Mistake { at: key.id, problem });
        };
        let name = self.checker.key(Feature::Headers, text.inner());
        *text = name.to_string().into();
        self.features = self.features.with(Feature::Headers);
        Ok(())
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Result<(), Mistake> {
        self.visit(&mut comprehension.iter_range)?;
        self.visit(&mut comprehension.accu_init)?;
        let before = self.bound.len();
        self.bound.push(comprehension.iter_var.clone());
        self.bound.extend(comprehension.iter_var2.clone());
        self.bound.push(comprehension.accu_var.clone());
        let body = [&mut comprehension.loop_cond, &mut comprehension.loop_step, &mut comprehension.result];
        let outcome = body.into_iter().try_for_each(|part| self.visit(part));
        self.bound.truncate(before);
        outcome
    }
}
