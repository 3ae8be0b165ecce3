//! An expression, ready to be evaluated.

use corten_config::types::Regex;

use super::closures::Closure;
use super::functions::Builtin;
use crate::value::Value;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Value),
    Variable(Variable),
    /// A name that is given when the expression is evaluated.
    Name(String),
    /// A `let` variable, counted from the innermost.
    Local(usize),
    /// `#` in a closure, and `#index`.
    Element,
    Index,
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// `matches` with a pattern that was written.
    Matches(Box<Node>, Regex),
    /// `a.b` and `a["b"]`; with `optional`, nothing of nothing is nothing.
    Member {
        of: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    /// Where what `?.` skips ends.
    Chain(Box<Node>),
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    If(Box<Node>, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Call(&'static Builtin, Vec<Node>),
    Closure(Closure, Box<Node>, Box<Node>),
    /// `let x = a; b`
    Let(Box<Node>, Box<Node>),
}

impl Node {
    /// How many levels there are.
    pub(super) fn height(&self) -> usize {
        let highest =
            |nodes: &mut dyn Iterator<Item = &Self>| nodes.map(Self::height).max().unwrap_or(0);
        let one = |node: &Self| node.height();
        let optional = |node: &Option<Box<Self>>| node.as_ref().map_or(0, |node| node.height());
        1 + match self {
            Self::Constant(_)
            | Self::Variable(_)
            | Self::Name(_)
            | Self::Local(_)
            | Self::Element
            | Self::Index => 0,
            Self::Unary(_, a) | Self::Matches(a, _) | Self::Chain(a) => one(a),
            Self::Binary(_, a, b) | Self::Closure(_, a, b) | Self::Let(a, b) => one(a).max(one(b)),
            Self::Member { of, key, .. } => one(of).max(one(key)),
            Self::Slice { of, from, to } => one(of).max(optional(from)).max(optional(to)),
            Self::If(a, b, c) => one(a).max(one(b)).max(one(c)),
            Self::List(nodes) | Self::Call(_, nodes) => highest(&mut nodes.iter()),
            Self::Map(entries) => {
                highest(&mut entries.iter().flat_map(|(key, value)| [key, value]))
            }
        }
    }
}

/// What an entry offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Body,
    Attributes,
    Resource,
    Timestamp,
    SeverityText,
    SeverityNumber,
    ScopeName,
    /// It does not exist, and is nothing.
    Unknown,
}

pub(super) const VARIABLES: [(&str, Variable); 8] = [
    ("body", Variable::Body),
    ("$", Variable::Body),
    ("attributes", Variable::Attributes),
    ("resource", Variable::Resource),
    ("timestamp", Variable::Timestamp),
    ("severity_text", Variable::SeverityText),
    ("severity_number", Variable::SeverityNumber),
    ("scope_name", Variable::ScopeName),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Coalesce,
}

impl Binary {
    /// How tightly it binds.
    pub(super) fn binding(self) -> u16 {
        match self {
            Self::Or => 10,
            Self::And => 15,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::Greater
            | Self::LessEqual
            | Self::GreaterEqual
            | Self::In
            | Self::Matches
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith => 20,
            Self::Range => 25,
            Self::Add | Self::Subtract => 30,
            Self::Multiply | Self::Divide | Self::Remainder => 60,
            Self::Power => 100,
            Self::Coalesce => 500,
        }
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::LessEqual => "<=",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Matches => "matches",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }

    pub(super) fn of_op(op: &str) -> Option<Self> {
        Some(match op {
            "||" => Self::Or,
            "&&" => Self::And,
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            ">" => Self::Greater,
            "<=" => Self::LessEqual,
            ">=" => Self::GreaterEqual,
            ".." => Self::Range,
            "+" => Self::Add,
            "-" => Self::Subtract,
            "*" => Self::Multiply,
            "/" => Self::Divide,
            "%" => Self::Remainder,
            "**" | "^" => Self::Power,
            "??" => Self::Coalesce,
            _ => return None,
        })
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "or" => Self::Or,
            "and" => Self::And,
            "in" => Self::In,
            "matches" => Self::Matches,
            "contains" => Self::Contains,
            "startsWith" => Self::StartsWith,
            "endsWith" => Self::EndsWith,
            _ => return None,
        })
    }
}
