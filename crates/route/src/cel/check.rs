//! From the parsed text of a rule to its typed tree.
//!
//! Owns names and types. What the tree cannot express although the language can is handed to [`super::foreign`] at the nearest
//! operation that gives true or false, with its names checked all the same.

mod bounds;
mod names;
mod outside;

use super::LONGEST_RULE;
use super::error::{ConditionError, Problem};
use super::node::{Arithmetic, Comparison, Node, TextTest, comparable, is_number};
use crate::features::{Feature, FeatureKind, FeatureSet};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};
use names::{nearest_functions, path};
use std::collections::BTreeSet;
use trunkline_model::id::Name;

/// A rule that passed.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) node: Node,
    pub(super) features: FeatureSet,
    pub(super) headers: Vec<Name>,
}

/// The stack for compiling one rule. The parser takes up to 200 kB for each level of brackets in an unoptimised build, which
/// is more than a thread of a server has for the nesting that [`bounds`] lets through. The thread that brings this stack is
/// joined before anything returns, so the outcome depends on the text alone.
const STACK_BYTES: usize = 16 << 20;

/// Compiles the text of a rule, on a stack of its own.
pub(super) fn compile(source: &str) -> Result<Checked, ConditionError> {
    bounded(source, compile_bounded)
}

/// Parses an expression over these names, on a stack of its own.
pub(super) fn program(source: &str, names: &[&str]) -> Result<cel::Program, ConditionError> {
    bounded(source, |source| {
        let program = cel::Program::compile(source).map_err(|errors| syntax(source, &errors))?;
        let read = program.references();
        let unknown = read.variables().into_iter().find(|name| !names.contains(name)).map(str::to_owned);
        drop(read);
        match unknown {
            None => Ok(program),
            Some(name) => {
                let near = names.iter().map(|name| (*name).to_owned()).collect();
                let offset = source.find(&name);
                Err(ConditionError::new(source, offset, Problem::UnknownName { name, near }))
            }
        }
    })
}

fn bounded<T: Send>(
    source: &str,
    compile: impl FnOnce(&str) -> Result<T, ConditionError> + Send,
) -> Result<T, ConditionError> {
    if source.len() > LONGEST_RULE {
        return Err(ConditionError::new(source, None, Problem::TooLong { bytes: source.len() }));
    }
    if source.trim().is_empty() {
        return Err(ConditionError::new(source, None, Problem::Empty));
    }
    bounds::check(source).map_err(|(offset, problem)| ConditionError::new(source, Some(offset), problem))?;
    let given_up = || ConditionError::new(source, None, Problem::GivenUp);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rule".into()).stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, || compile(source)).map_err(|_| given_up())?;
        running.join().unwrap_or_else(|_| Err(given_up()))
    })
}

fn compile_bounded(source: &str) -> Result<Checked, ConditionError> {
    let program = cel::Program::compile(source).map_err(|errors| syntax(source, &errors))?;
    let mut checker = Checker { features: FeatureSet::EMPTY, headers: BTreeSet::new() };
    match checker.condition(program.expression()) {
        Ok(node) => {
            Ok(Checked { node, features: checker.features, headers: checker.headers.into_iter().collect() })
        }
        Err(Mistake { at, problem }) => {
            let offset = program.source_info().offset_for(at);
            let offset = offset.map(|(start, _)| name_start(source, start as usize));
            Err(ConditionError::new(source, offset, problem))
        }
    }
}

/// The parser places a chain of names at its last dot; what people look for is its beginning.
fn name_start(source: &str, offset: usize) -> usize {
    if source.as_bytes().get(offset) != Some(&b'.') {
        return offset;
    }
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    offset - source.as_bytes()[..offset].iter().rev().take_while(|byte| is_part(byte)).count()
}

fn syntax(source: &str, errors: &cel::ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return ConditionError::new(source, None, Problem::Syntax { message: "it is no expression".into() });
    };
    // The parser goes on to list every token it would have taken.
    let said = first.msg.split(", expecting").next().unwrap_or_default();
    let said = said.split(" expecting ").next().unwrap_or_default();
    let said = said.strip_prefix("Syntax error: ").unwrap_or(said);
    let message = plain_words(&said.chars().take(200).collect::<String>());
    let offset = match first.pos {
        (line, column) if line >= 1 && column >= 1 => {
            let line_start: usize =
                source.split_inclusive('\n').take(line.unsigned_abs() - 1).map(str::len).sum();
            let rest = source.get(line_start..).unwrap_or_default();
            let characters = column.unsigned_abs() - 1;
            Some(line_start + rest.char_indices().nth(characters).map_or(rest.len(), |(offset, _)| offset))
        }
        _ => None,
    };
    ConditionError::new(source, offset, Problem::Syntax { message })
}

/// The parser's complaint in words for people who do not know parsers.
fn plain_words(said: &str) -> String {
    let quoted = |text: &str| text.trim().trim_matches('\'').to_owned();
    let unexpected = ["mismatched input ", "extraneous input ", "no viable alternative at input "];
    if let Some(text) = unexpected.iter().find_map(|lead| said.strip_prefix(lead)) {
        return match quoted(text).as_str() {
            "<EOF>" => "it ends too early".to_owned(),
            text => format!("`{text}` is not expected here"),
        };
    }
    if let Some(text) = said.strip_prefix("token recognition error at: ") {
        return format!("`{}` is not understood", quoted(text));
    }
    match said {
        "UNKNOWN" | "" => "it is no expression".to_owned(),
        other => other.replace("'<EOF>'", "the end"),
    }
}

/// A problem and the node it is about.
#[derive(Debug)]
struct Mistake {
    at: u64,
    problem: Problem,
}

/// Why a node has no typed form.
#[derive(Debug)]
enum Refusal {
    /// It is wrong.
    Mistake(Mistake),
    /// It is right, but the tree cannot express it.
    Beyond,
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

type Typed = (Node, FeatureKind);

struct Checker {
    features: FeatureSet,
    headers: BTreeSet<Name>,
}

fn mistake<T>(at: u64, problem: Problem) -> Result<T, Refusal> {
    Err(Refusal::Mistake(Mistake { at, problem }))
}

impl Checker {
    /// A node that must give true or false: the whole rule or a side of `&&`.
    fn condition(&mut self, expression: &IdedExpr) -> Result<Node, Mistake> {
        match self.node(expression) {
            Ok((node, FeatureKind::Bool)) => Ok(node),
            Ok((_, kind)) => Err(Mistake { at: expression.id, problem: Problem::NotBool { kind } }),
            Err(Refusal::Mistake(mistake)) => Err(mistake),
            Err(Refusal::Beyond) => self.outside(expression),
        }
    }

    fn node(&mut self, expression: &IdedExpr) -> Result<Typed, Refusal> {
        let at = expression.id;
        match &expression.expr {
            Expr::Literal(literal) => literal_node(at, literal),
            Expr::Ident(name) => self.name(at, name),
            Expr::Select(select) => self.select(at, select),
            Expr::Call(call) => self.call(at, call),
            Expr::List(_) | Expr::Comprehension(_) | Expr::Map(_) => Err(Refusal::Beyond),
            Expr::Struct(_) | Expr::Unspecified => {
                mistake(at, Problem::Unsupported { what: "a message literal" })
            }
        }
    }

    fn select(&mut self, at: u64, select: &SelectExpr) -> Result<Typed, Refusal> {
        let Some(operand) = path(&select.operand.expr) else { return Err(Refusal::Beyond) };
        let whole = format!("{operand}.{}", select.field);
        if let Some(map) = Feature::find(&operand).filter(|feature| feature.kind() == FeatureKind::Map) {
            let key = self.key(map, &select.field);
            let node = if select.test { Node::HasEntry { map, key } } else { Node::Entry { map, key } };
            let kind = if select.test { FeatureKind::Bool } else { FeatureKind::Text };
            return Ok((node, kind));
        }
        if !select.test {
            return self.name(at, &whole);
        }
        match Feature::find(&whole) {
            Some(feature) => {
                self.features = self.features.with(feature);
                Ok((Node::Has(feature), FeatureKind::Bool))
            }
            None => mistake(at, names::unknown(&whole)),
        }
    }

    fn name(&mut self, at: u64, name: &str) -> Result<Typed, Refusal> {
        match Feature::find(name) {
            Some(feature) => {
                self.features = self.features.with(feature);
                Ok((Node::Feature(feature), feature.kind()))
            }
            None => mistake(at, names::unknown(name)),
        }
    }

    /// Notes that an entry of a map is read.
    fn key(&mut self, map: Feature, key: &str) -> Name {
        self.features = self.features.with(map);
        if map == Feature::Headers {
            let key: Name = key.to_ascii_lowercase().into();
            self.headers.insert(key.clone());
            key
        } else {
            key.into()
        }
    }

    fn call(&mut self, at: u64, call: &CallExpr) -> Result<Typed, Refusal> {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => {
                let inner = self.condition(inner)?;
                Ok((Node::Not(Box::new(inner)), FeatureKind::Bool))
            }
            (operators::LOGICAL_AND, [left, right]) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Ok((Node::And(Box::new(left), Box::new(right)), FeatureKind::Bool))
            }
            (operators::LOGICAL_OR, [left, right]) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Ok((Node::Or(Box::new(left), Box::new(right)), FeatureKind::Bool))
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.choose(at, condition, then, otherwise)
            }
            (operators::IN, [needle, list]) => self.membership(at, needle, list),
            (operators::INDEX, [map, key]) => self.index(at, map, key),
            (operators::NEGATE, [inner]) => match self.node(inner)? {
                (node, kind) if is_number(kind) => Ok((Node::Negate(Box::new(node)), kind)),
                (_, kind) => mistake(at, Problem::Operand { operator: "-".into(), kind, needs: "a number" }),
            },
            (name, [left, right]) if comparison(name).is_some() || arithmetic(name).is_some() => {
                self.binary(at, name, left, right)
            }
            (name, arguments) => self.function(at, name, arguments),
        }
    }

    fn choose(
        &mut self,
        at: u64,
        condition: &IdedExpr,
        then: &IdedExpr,
        otherwise: &IdedExpr,
    ) -> Result<Typed, Refusal> {
        let condition = self.condition(condition)?;
        let (then, then_kind) = self.node(then)?;
        let (otherwise, kind) = self.node(otherwise)?;
        if then_kind != kind {
            return mistake(at, Problem::Types { operator: "?:", left: then_kind, right: kind });
        }
        let node = Node::Choose {
            condition: Box::new(condition),
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        Ok((node, kind))
    }

    fn membership(&mut self, at: u64, needle: &IdedExpr, list: &IdedExpr) -> Result<Typed, Refusal> {
        if let Some(map) = map_of(list) {
            let Some(key) = text_literal(needle) else {
                return match map {
                    Feature::Headers => mistake(needle.id, Problem::ComputedKey { map: map.name() }),
                    _ => Err(Refusal::Beyond),
                };
            };
            let key = self.key(map, key);
            return Ok((Node::HasEntry { map, key }, FeatureKind::Bool));
        }
        let (needle, needle_kind) = self.node(needle)?;
        let Expr::List(list) = &list.expr else {
            let (_, kind) = self.node(list)?;
            return mistake(
                at,
                Problem::Operand { operator: "in".into(), kind, needs: "a list or map on its right" },
            );
        };
        let mut items = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            let (item, kind) = self.node(element)?;
            if !comparable(needle_kind, kind) {
                return mistake(
                    element.id,
                    Problem::Types { operator: "in", left: needle_kind, right: kind },
                );
            }
            items.push(item);
        }
        Ok((Node::In { needle: Box::new(needle), list: items }, FeatureKind::Bool))
    }

    fn index(&mut self, at: u64, map: &IdedExpr, key: &IdedExpr) -> Result<Typed, Refusal> {
        let Some(map) = map_of(map) else {
            let (_, kind) = self.node(map)?;
            return mistake(at, Problem::Operand { operator: "[ ]".into(), kind, needs: "a map" });
        };
        match text_literal(key) {
            Some(key) => {
                let key = self.key(map, key);
                Ok((Node::Entry { map, key }, FeatureKind::Text))
            }
            None => mistake(key.id, Problem::ComputedKey { map: map.name() }),
        }
    }

    fn binary(&mut self, at: u64, name: &str, left: &IdedExpr, right: &IdedExpr) -> Result<Typed, Refusal> {
        let ((left, left_kind), (right, right_kind)) = (self.node(left)?, self.node(right)?);
        let types = |operator| Problem::Types { operator, left: left_kind, right: right_kind };
        if let Some((comparison, operator)) = comparison(name) {
            if !comparable(left_kind, right_kind) {
                return mistake(at, types(operator));
            }
            if left_kind == FeatureKind::Map {
                let needs = "values without parts";
                return mistake(at, Problem::Operand { operator: operator.into(), kind: left_kind, needs });
            }
            let node = Node::Compare { comparison, left: Box::new(left), right: Box::new(right) };
            return Ok((node, FeatureKind::Bool));
        }
        let Some((operation, operator)) = arithmetic(name) else { return Err(Refusal::Beyond) };
        if left_kind != right_kind {
            return mistake(at, types(operator));
        }
        if operation == Arithmetic::Add && left_kind == FeatureKind::Text {
            return Err(Refusal::Beyond);
        }
        let remainder = operation == Arithmetic::Remainder && left_kind == FeatureKind::Double;
        if !is_number(left_kind) || remainder {
            return mistake(at, types(operator));
        }
        Ok((Node::Arithmetic { operation, left: Box::new(left), right: Box::new(right) }, left_kind))
    }

    fn function(&mut self, at: u64, name: &str, arguments: &[&IdedExpr]) -> Result<Typed, Refusal> {
        let test = match name {
            "startsWith" => Some(TextTest::StartsWith),
            "endsWith" => Some(TextTest::EndsWith),
            "contains" => Some(TextTest::Contains),
            "matches" => None,
            "size" => return self.size(at, arguments),
            _ if names::FUNCTIONS.contains(&name) => return Err(Refusal::Beyond),
            _ => {
                return mistake(
                    at,
                    Problem::UnknownFunction { name: name.to_owned(), near: nearest_functions(name) },
                );
            }
        };
        let [text, part] = arguments else {
            let needs = "a text and one argument";
            let given = arguments.len();
            return mistake(at, Problem::Arguments { function: name.to_owned(), needs, given });
        };
        let text_node = self.text(name, text)?;
        match test {
            Some(test) => {
                let part = self.text(name, part)?;
                let node = Node::TextTest { test, text: Box::new(text_node), part: Box::new(part) };
                Ok((node, FeatureKind::Bool))
            }
            None => {
                let Some(pattern) = text_literal(part) else { return Err(Refusal::Beyond) };
                let pattern = match regex::RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                    Ok(pattern) => Box::new(pattern),
                    Err(error) => {
                        let message = error.to_string().lines().last().unwrap_or_default().to_owned();
                        let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
                        return mistake(part.id, Problem::Pattern { message });
                    }
                };
                Ok((Node::Matches { text: Box::new(text_node), pattern }, FeatureKind::Bool))
            }
        }
    }

    fn size(&mut self, at: u64, arguments: &[&IdedExpr]) -> Result<Typed, Refusal> {
        let [inner] = arguments else {
            let (function, needs, given) = ("size".to_owned(), "one argument", arguments.len());
            return mistake(at, Problem::Arguments { function, needs, given });
        };
        match self.node(inner)? {
            (Node::Feature(Feature::Headers), _) => {
                mistake(at, Problem::Unsupported { what: "all headers together" })
            }
            (node, FeatureKind::Text | FeatureKind::Map) => {
                Ok((Node::Size(Box::new(node)), FeatureKind::Int))
            }
            (_, kind) => {
                mistake(at, Problem::Operand { operator: "size".into(), kind, needs: "a text or a map" })
            }
        }
    }

    fn text(&mut self, function: &str, expression: &IdedExpr) -> Result<Node, Refusal> {
        match self.node(expression)? {
            (node, FeatureKind::Text) => Ok(node),
            (_, kind) => mistake(
                expression.id,
                Problem::Operand { operator: function.to_owned(), kind, needs: "texts" },
            ),
        }
    }
}

fn literal_node(at: u64, literal: &LiteralValue) -> Result<Typed, Refusal> {
    match literal {
        LiteralValue::Boolean(value) => Ok((Node::Bool(*value.inner()), FeatureKind::Bool)),
        LiteralValue::Int(value) => Ok((Node::Int(*value.inner()), FeatureKind::Int)),
        LiteralValue::UInt(value) => {
            Ok((Node::Int(i64::try_from(*value.inner()).unwrap_or(i64::MAX)), FeatureKind::Int))
        }
        LiteralValue::Double(value) => Ok((Node::Double(*value.inner()), FeatureKind::Double)),
        LiteralValue::String(value) => Ok((Node::Text(value.inner().into()), FeatureKind::Text)),
        LiteralValue::Null => mistake(at, Problem::Null),
        LiteralValue::Bytes(_) => mistake(at, Problem::Unsupported { what: "a byte string" }),
    }
}

/// The map a name stands for.
fn map_of(expression: &IdedExpr) -> Option<Feature> {
    let name = path(&expression.expr)?;
    Feature::find(&name).filter(|feature| feature.kind() == FeatureKind::Map)
}

fn text_literal(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn comparison(name: &str) -> Option<(Comparison, &'static str)> {
    Some(match name {
        operators::EQUALS => (Comparison::Equal, "=="),
        operators::NOT_EQUALS => (Comparison::NotEqual, "!="),
        operators::LESS => (Comparison::Less, "<"),
        operators::LESS_EQUALS => (Comparison::LessOrEqual, "<="),
        operators::GREATER => (Comparison::Greater, ">"),
        operators::GREATER_EQUALS => (Comparison::GreaterOrEqual, ">="),
        _ => return None,
    })
}

fn arithmetic(name: &str) -> Option<(Arithmetic, &'static str)> {
    Some(match name {
        operators::ADD => (Arithmetic::Add, "+"),
        operators::SUBSTRACT => (Arithmetic::Subtract, "-"),
        operators::MULTIPLY => (Arithmetic::Multiply, "*"),
        operators::DIVIDE => (Arithmetic::Divide, "/"),
        operators::MODULO => (Arithmetic::Remainder, "%"),
        _ => return None,
    })
}
