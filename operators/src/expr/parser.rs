//! From words to an expression.

use super::ParseExprError;
use super::ast::{Binary, Node, Unary, VARIABLES, Variable};
use super::closures::Closure;
use super::functions;
use super::lexer::{Token, Word, words};
use crate::value::Value;
use corten_config::types::Regex;

/// Levels within one another, at most: both parsing and evaluation recurse.
const DEEPEST: u32 = 64;
/// Operators and names in one expression, at most.
const LONGEST: usize = 4096;
/// Levels of the tree, at most: `a or a or a …` grows to the left.
const HIGHEST: usize = 256;

/// Binds weaker than every operator.
const LOWEST: u16 = 0;

pub(super) struct Parsed {
    pub(super) node: Node,
    /// Names that no entry has.
    pub(super) unknown: Vec<String>,
}

/// `free`: names are not those of an entry but given when it is evaluated, and `type` is one of them: the function is
/// called `typeOf`. The process's environment is not theirs.
pub(super) fn parse(text: &str, free: bool) -> Result<Parsed> {
    let words = words(text)?;
    if words.len() > LONGEST {
        return Err(ParseExprError::new(0, "it is longer than 4096 words"));
    }
    let mut parser = Parser {
        words: &words,
        next: 0,
        end: text.len(),
        depth: 0,
        locals: Vec::new(),
        closures: 0,
        free,
        unknown: Vec::new(),
    };
    let node = parser.sequence()?;
    if node.height() > HIGHEST {
        return Err(ParseExprError::new(
            0,
            "it has more than 256 operators in a row",
        ));
    }
    match parser.peek() {
        None => Ok(Parsed {
            node,
            unknown: parser.unknown,
        }),
        Some(_) => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'w> {
    words: &'w [Word],
    next: usize,
    end: usize,
    depth: u32,
    /// `let` variables, the innermost last.
    locals: Vec<String>,
    closures: u32,
    free: bool,
    unknown: Vec<String>,
}

type Result<T> = std::result::Result<T, ParseExprError>;

impl<'w> Parser<'w> {
    fn peek(&self) -> Option<&'w Token> {
        self.words.get(self.next).map(|word| &word.token)
    }

    fn peek_second(&self) -> Option<&'w Token> {
        self.words.get(self.next + 1).map(|word| &word.token)
    }

    fn at(&self) -> usize {
        self.words.get(self.next).map_or(self.end, |word| word.at)
    }

    fn wrong<T>(&self, why: impl Into<String>) -> Result<T> {
        Err(ParseExprError::new(self.at(), why))
    }

    fn unexpected(&self, expected: &str) -> ParseExprError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Int(value)) => value.to_string(),
            Some(Token::Float(value)) => value.to_string(),
            Some(Token::Str(text)) => format!("{text:?}"),
            Some(Token::Name(name)) => format!("'{name}'"),
            Some(Token::Op(op)) => format!("'{op}'"),
        };
        ParseExprError::new(self.at(), format!("expected {expected}, found {found}"))
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Some(Token::Op(found)) if *found == op)
    }

    fn take_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        self.next += usize::from(found);
        found
    }

    fn expect_op(&mut self, op: &str) -> Result<()> {
        if self.take_op(op) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{op}'")))
        }
    }

    fn name(&mut self) -> Result<&'w str> {
        match self.peek() {
            Some(Token::Name(name)) => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEEPEST {
            return self.wrong("it is nested deeper than 64 levels");
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// `let x = a; b`, or an expression.
    fn sequence(&mut self) -> Result<Node> {
        let named = |token: Option<&Token>| matches!(token, Some(Token::Name(_)));
        if matches!(self.peek(), Some(Token::Name(name)) if name == "let")
            && named(self.peek_second())
        {
            return self.deeper(|parser| {
                parser.next += 1;
                let name = parser.name()?.to_owned();
                parser.expect_op("=")?;
                let value = parser.expression(LOWEST)?;
                parser.expect_op(";")?;
                parser.locals.push(name);
                let body = parser.sequence();
                parser.locals.pop();
                Ok(Node::Let(Box::new(value), Box::new(body?)))
            });
        }
        self.expression(LOWEST)
    }

    fn expression(&mut self, least: u16) -> Result<Node> {
        self.deeper(|parser| {
            let mut left = parser.primary()?;
            loop {
                if least == LOWEST && parser.is_op("|") {
                    left = parser.pipe(left)?;
                    continue;
                }
                let Some((operator, negated)) = parser.operator() else {
                    break;
                };
                if operator.binding() < least {
                    break;
                }
                parser.next += 1 + usize::from(negated);
                // From the left, but for powers.
                let right =
                    parser.expression(operator.binding() + u16::from(operator != Binary::Power))?;
                left = parser.binary(operator, left, right)?;
                if negated {
                    left = Node::Unary(Unary::Not, Box::new(left));
                }
            }
            if least == LOWEST && parser.take_op("?") {
                let yes = parser.expression(LOWEST)?;
                parser.expect_op(":")?;
                let no = parser.expression(LOWEST)?;
                left = Node::If(Box::new(left), Box::new(yes), Box::new(no));
            }
            Ok(left)
        })
    }

    /// The operator that comes next, and whether a `not` stands before it.
    fn operator(&self) -> Option<(Binary, bool)> {
        match self.peek()? {
            Token::Op(op) => Some((Binary::of_op(op)?, false)),
            Token::Name(name) if name == "not" => match self.peek_second()? {
                Token::Name(name) => match Binary::of_name(name)? {
                    Binary::Or | Binary::And => None,
                    operator => Some((operator, true)),
                },
                _ => None,
            },
            Token::Name(name) => Some((Binary::of_name(name)?, false)),
            _ => None,
        }
    }

    fn binary(&self, operator: Binary, left: Node, right: Node) -> Result<Node> {
        if operator == Binary::Matches
            && let Node::Constant(pattern) = &right
        {
            let Some(pattern) = pattern.as_str() else {
                return self.wrong("what stands after 'matches' must be text");
            };
            return match Regex::new(pattern) {
                Ok(regex) => Ok(Node::Matches(Box::new(left), regex)),
                Err(error) => self.wrong(error),
            };
        }
        Ok(Node::Binary(operator, Box::new(left), Box::new(right)))
    }

    /// `value | function(more)`
    fn pipe(&mut self, left: Node) -> Result<Node> {
        self.expect_op("|")?;
        let name = self.name()?;
        self.expect_op("(")?;
        let call = self.call(name, Some(left))?;
        self.postfix(call)
    }

    fn primary(&mut self) -> Result<Node> {
        let unary = match self.peek() {
            Some(Token::Op("!")) => Some((Unary::Not, 50)),
            Some(Token::Name(name)) if name == "not" => Some((Unary::Not, 50)),
            Some(Token::Op("-")) => Some((Unary::Minus, 90)),
            Some(Token::Op("+")) => Some((Unary::Plus, 90)),
            _ => None,
        };
        if let Some((unary, binding)) = unary {
            self.next += 1;
            let operand = self.expression(binding)?;
            return Ok(Node::Unary(unary, Box::new(operand)));
        }
        let node = self.atom()?;
        self.postfix(node)
    }

    fn atom(&mut self) -> Result<Node> {
        let Some(token) = self.peek() else {
            return Err(self.unexpected("a value"));
        };
        let constant = match token {
            Token::Int(value) => Value::Int(*value),
            Token::Float(value) => Value::Float(*value),
            Token::Str(text) => Value::Str(text.clone()),
            Token::Name(name) => match name.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "nil" | "null" => Value::Null,
                _ => return self.named(),
            },
            Token::Op(op) => return self.bracketed(op),
        };
        self.next += 1;
        Ok(Node::Constant(constant))
    }

    fn bracketed(&mut self, op: &str) -> Result<Node> {
        match op {
            "(" => {
                self.next += 1;
                let node = self.sequence()?;
                self.expect_op(")")?;
                Ok(node)
            }
            "[" => {
                self.next += 1;
                let mut items = Vec::new();
                while !self.take_op("]") {
                    items.push(self.expression(LOWEST)?);
                    if !self.take_op(",") && !self.is_op("]") {
                        return Err(self.unexpected("',' or ']'"));
                    }
                }
                Ok(Node::List(items))
            }
            "{" => {
                self.next += 1;
                let mut entries = Vec::new();
                while !self.take_op("}") {
                    let key = match self.peek() {
                        Some(Token::Name(name)) => {
                            self.next += 1;
                            Node::Constant(name.as_str().into())
                        }
                        Some(Token::Str(text)) => {
                            self.next += 1;
                            Node::Constant(text.as_str().into())
                        }
                        Some(Token::Op("(")) => self.atom()?,
                        _ => return Err(self.unexpected("a key")),
                    };
                    self.expect_op(":")?;
                    entries.push((key, self.expression(LOWEST)?));
                    if !self.take_op(",") && !self.is_op("}") {
                        return Err(self.unexpected("',' or '}'"));
                    }
                }
                Ok(Node::Map(entries))
            }
            "#" if self.closures > 0 => {
                self.next += 1;
                if matches!(self.peek(), Some(Token::Name(name)) if name == "index") {
                    self.next += 1;
                    return Ok(Node::Index);
                }
                Ok(Node::Element)
            }
            // `.name` is `#.name`.
            "." if self.closures > 0 => Ok(Node::Element),
            "#" => self.wrong(
                "'#' is an element of a list, only within a function such as any(list, # > 1)",
            ),
            "$" if !self.free => {
                self.next += 1;
                Ok(Node::Variable(Variable::Body))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn named(&mut self) -> Result<Node> {
        let name = self.name()?;
        if self.take_op("(") {
            return self.call(name, None);
        }
        if let Some(index) = self.locals.iter().rev().position(|local| local == name) {
            return Ok(Node::Local(index));
        }
        if self.free {
            return Ok(Node::Name(name.to_owned()));
        }
        let known = VARIABLES.iter().find(|(known, _)| *known == name);
        Ok(Node::Variable(match known {
            Some((_, variable)) => *variable,
            None => {
                self.unknown.push(name.to_owned());
                Variable::Unknown
            }
        }))
    }

    /// After the opening parenthesis.
    fn call(&mut self, name: &str, piped: Option<Node>) -> Result<Node> {
        if let Some(closure) = Closure::of(name) {
            let list = match piped {
                Some(list) => list,
                None => {
                    let list = self.expression(LOWEST)?;
                    if closure.needs_predicate() || self.is_op(",") {
                        self.expect_op(",")?;
                    }
                    list
                }
            };
            let predicate = if self.is_op(")") && !closure.needs_predicate() {
                Node::Element
            } else {
                self.closures += 1;
                let braces = self.take_op("{");
                let predicate = self.sequence();
                self.closures -= 1;
                let predicate = predicate?;
                if braces {
                    self.expect_op("}")?;
                }
                predicate
            };
            self.expect_op(")")?;
            return Ok(Node::Closure(closure, Box::new(list), Box::new(predicate)));
        }
        let found = match name {
            "typeOf" if self.free => functions::find("type"),
            // Who writes such an expression may be somebody else than who runs the process.
            "type" | "env" if self.free => None,
            name => functions::find(name),
        };
        let Some(builtin) = found else {
            let names = functions::names();
            let near = corten_config::nearest(name, names)
                .map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
            return self.wrong(format!("there is no function '{name}'{near}"));
        };
        let mut arguments: Vec<Node> = piped.into_iter().collect();
        while !self.take_op(")") {
            arguments.push(self.expression(LOWEST)?);
            if !self.take_op(",") && !self.is_op(")") {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        if arguments.len() < builtin.least || arguments.len() > builtin.most {
            return self.wrong(format!(
                "function '{name}' takes {}, found {}",
                builtin.arity(),
                arguments.len()
            ));
        }
        Ok(Node::Call(builtin, arguments))
    }

    fn postfix(&mut self, mut node: Node) -> Result<Node> {
        let mut chained = false;
        loop {
            let optional = self.is_op("?.");
            if optional || self.is_op(".") {
                self.next += 1;
                chained |= optional;
                let key = if optional && self.take_op("[") {
                    let key = self.expression(LOWEST)?;
                    self.expect_op("]")?;
                    key
                } else {
                    let name = self.name()?;
                    if self.take_op("(") {
                        // A method: the value is its first argument.
                        let method = functions::method(name)
                            .ok_or_else(|| self.unexpected("a method of a time, such as Unix"))?;
                        self.expect_op(")")?;
                        node = Node::Call(method, vec![node]);
                        continue;
                    }
                    Node::Constant(name.into())
                };
                node = Node::Member {
                    of: Box::new(node),
                    key: Box::new(key),
                    optional,
                };
            } else if self.take_op("[") {
                let from = if self.is_op(":") {
                    None
                } else {
                    Some(Box::new(self.expression(LOWEST)?))
                };
                if self.take_op(":") {
                    let to = if self.is_op("]") {
                        None
                    } else {
                        Some(Box::new(self.expression(LOWEST)?))
                    };
                    node = Node::Slice {
                        of: Box::new(node),
                        from,
                        to,
                    };
                } else if let Some(key) = from {
                    node = Node::Member {
                        of: Box::new(node),
                        key,
                        optional: false,
                    };
                }
                self.expect_op("]")?;
            } else {
                break;
            }
        }
        if chained {
            node = Node::Chain(Box::new(node));
        }
        Ok(node)
    }
}
