//! Random syntax trees that the grammar can produce.

use proptest::{collection::vec, option, prelude::*};

use super::arbitrary_order::order_by;
use crate::ast::*;
use crate::catalog::SourceKind;

const NAMES: [&str; 24] = [
    "A",
    "B_1",
    "_X@2",
    "lower",
    "Mixed Case",
    "SELECT",
    "NULL",
    "DAY",
    "DAYS",
    "ARRAY",
    "MAP",
    "STRUCT",
    "EMIT",
    "ESCAPE",
    "KEY",
    "a`b",
    "a\"b",
    "1ABC",
    "12",
    "",
    "INT",
    "DECIMAL",
    "é",
    "TABLES",
];

pub(crate) fn name() -> BoxedStrategy<Ident> {
    (0..NAMES.len()).prop_map(|i| Ident::new(NAMES[i])).boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), "[a-z'`\"\\\\ ;-]{0,6}", "\\PC{0,4}"].boxed()
}

fn literal() -> BoxedStrategy<Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        any::<i32>().prop_map(Literal::Integer),
        prop_oneof![i64::MIN..i64::from(i32::MIN), i64::from(i32::MAX) + 1..=i64::MAX]
            .prop_map(Literal::Bigint),
        "-?([0-9]{1,5}\\.[0-9]{0,5}|\\.[0-9]{1,3}|[0-9]{1,12})".prop_map(Literal::Decimal),
        prop::num::f64::NORMAL.prop_map(Literal::Double),
        text().prop_map(Literal::String),
    ]
    .boxed()
}

fn unit() -> BoxedStrategy<IntervalUnit> {
    use IntervalUnit::*;
    prop_oneof![Just(Milliseconds), Just(Seconds), Just(Minutes), Just(Hours), Just(Days)].boxed()
}

fn interval() -> BoxedStrategy<Interval> {
    (0..=i64::MAX, unit())
        .prop_map(|(value, unit)| Interval { value, unit, loc: Loc::default() })
        .boxed()
}

pub(crate) fn ty() -> BoxedStrategy<TypeExpr> {
    let make = |kind| TypeExpr { kind, loc: Loc::default() };
    let scalar = prop_oneof![
        Just(ScalarType::Boolean),
        Just(ScalarType::Integer),
        Just(ScalarType::Bigint),
        Just(ScalarType::Double),
        Just(ScalarType::String),
        Just(ScalarType::Bytes),
        Just(ScalarType::Date),
        Just(ScalarType::Time),
        Just(ScalarType::Timestamp),
        (1..50_u32, 0..50_u32).prop_map(|(precision, scale)| ScalarType::Decimal {
            precision,
            scale: scale % (precision + 1),
        }),
    ];
    let leaf = prop_oneof![
        4 => scalar.prop_map(TypeKind::Scalar),
        1 => name().prop_map(TypeKind::Custom),
    ];
    leaf.prop_map(make)
        .prop_recursive(3, 8, 3, move |inner| {
            let field = (name(), inner.clone()).prop_map(|(name, ty)| FieldDef { name, ty });
            prop_oneof![
                inner.clone().prop_map(|t| TypeKind::Array(Box::new(t))),
                (inner.clone(), inner).prop_map(|(k, v)| TypeKind::Map(Box::new(k), Box::new(v))),
                vec(field, 0..3).prop_map(TypeKind::Struct),
            ]
            .prop_map(make)
        })
        .boxed()
}

fn binary_op() -> BoxedStrategy<BinaryOp> {
    use BinaryOp::*;
    let all = [
        Add,
        Subtract,
        Multiply,
        Divide,
        Modulo,
        Concat,
        Eq,
        NotEq,
        Lt,
        LtEq,
        Gt,
        GtEq,
        IsDistinctFrom,
        IsNotDistinctFrom,
        And,
        Or,
    ];
    (0..all.len()).prop_map(move |i| all[i]).boxed()
}

fn make(kind: ExprKind) -> Expr {
    Expr::new(kind, Loc::default())
}

pub(crate) fn expr() -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        literal().prop_map(ExprKind::Literal),
        (option::of(name()), name()).prop_map(|(source, name)| ExprKind::Column { source, name }),
        name().prop_map(|name| ExprKind::CallStar { name }),
    ];
    leaf.prop_map(make)
        .prop_recursive(5, 24, 3, |inner| {
            let boxed = inner.prop_map(Box::new).boxed();
            prop_oneof![operators(boxed.clone()), predicates(boxed.clone()), enclosed(boxed)]
                .prop_map(make)
        })
        .boxed()
}

fn operators(inner: BoxedStrategy<Box<Expr>>) -> BoxedStrategy<ExprKind> {
    let unary = prop_oneof![Just(UnaryOp::Plus), Just(UnaryOp::Minus), Just(UnaryOp::Not)];
    // A minus before a number is part of the number.
    let no_number = |(op, expr): (UnaryOp, Box<Expr>)| ExprKind::Unary { op, expr };
    prop_oneof![
        4 => (binary_op(), inner.clone(), inner.clone())
            .prop_map(|(op, left, right)| ExprKind::Binary { op, left, right }),
        2 => (unary, inner.clone()).prop_map(no_number),
        1 => (inner.clone(), inner.clone())
            .prop_map(|(base, index)| ExprKind::Subscript { base, index }),
        1 => (inner, name()).prop_map(|(base, name)| ExprKind::Field { base, name }),
    ]
    .boxed()
}

fn predicates(inner: BoxedStrategy<Box<Expr>>) -> BoxedStrategy<ExprKind> {
    let some = || inner.clone();
    let list = vec(some().prop_map(|e| *e), 1..3);
    let escape = option::of("[!'x]");
    prop_oneof![
        (some(), some(), some(), any::<bool>()).prop_map(|(expr, low, high, negated)| {
            ExprKind::Between { expr, low, high, negated }
        }),
        (some(), list, any::<bool>()).prop_map(|(expr, list, negated)| ExprKind::InList {
            expr,
            list,
            negated
        }),
        (some(), some(), escape, any::<bool>()).prop_map(|(expr, pattern, escape, negated)| {
            ExprKind::Like { expr, pattern, escape, negated }
        }),
        (some(), any::<bool>()).prop_map(|(expr, negated)| ExprKind::IsNull { expr, negated }),
    ]
    .boxed()
}

fn enclosed(inner: BoxedStrategy<Box<Expr>>) -> BoxedStrategy<ExprKind> {
    let one = inner.clone().prop_map(|e| *e).boxed();
    let branch =
        (one.clone(), one.clone()).prop_map(|(condition, result)| CaseBranch { condition, result });
    let lambda = (vec(0..3_usize, 1..3), inner.clone()).prop_map(|(picks, body)| {
        let mut params: Vec<Ident> = picks.iter().map(|i| Ident::new(NAMES[i * 3])).collect();
        params.dedup();
        params.truncate(2);
        make(ExprKind::Lambda { params, body })
    });
    let argument = prop_oneof![4 => one.clone(), 1 => unit().prop_map(|u| make(ExprKind::Unit(u)))];
    let call = (name(), vec(argument, 0..3), vec(lambda, 0..2), one.clone()).prop_map(
        |(name, mut args, lambdas, first)| {
            if args.is_empty() && !lambdas.is_empty() {
                args.push(first);
            }
            args.extend(lambdas);
            ExprKind::Call { name, args }
        },
    );
    prop_oneof![
        (option::of(inner.clone()), vec(branch, 1..3), option::of(inner.clone())).prop_map(
            |(operand, branches, otherwise)| ExprKind::Case { operand, branches, otherwise }
        ),
        (inner, ty()).prop_map(|(expr, ty)| ExprKind::Cast { expr, ty }),
        call,
        vec(one.clone(), 0..3).prop_map(ExprKind::Array),
        vec((one.clone(), one.clone()), 0..3).prop_map(ExprKind::Map),
        vec((name(), one), 0..3).prop_map(ExprKind::Struct),
    ]
    .boxed()
}

fn aliased_source() -> BoxedStrategy<AliasedSource> {
    (name(), option::of(name()))
        .prop_map(|(name, alias)| AliasedSource { name, alias, subquery: None })
        .boxed()
}

fn join() -> BoxedStrategy<Join> {
    let kinds = [JoinType::Inner, JoinType::Left, JoinType::Right, JoinType::Full];
    let within = (interval(), interval(), option::of(interval()), any::<bool>()).prop_map(
        |(before, other, grace, same)| Within {
            after: if same { before.clone() } else { other },
            before,
            grace,
            loc: Loc::default(),
        },
    );
    (0..4_usize, aliased_source(), option::of(within), expr())
        .prop_map(move |(kind, right, within, on)| Join {
            kind: kinds[kind],
            right,
            within,
            on,
            loc: Loc::default(),
        })
        .boxed()
}

fn window() -> BoxedStrategy<WindowClause> {
    let spec = prop_oneof![
        interval().prop_map(|size| WindowSpec::Tumbling { size }),
        (interval(), interval()).prop_map(|(size, advance)| WindowSpec::Hopping { size, advance }),
        interval().prop_map(|gap| WindowSpec::Session { gap }),
    ];
    (option::of(name()), spec, option::of(interval()), option::of(interval()))
        .prop_map(|(name, spec, retention, grace)| WindowClause {
            name,
            spec,
            retention,
            grace,
            loc: Loc::default(),
        })
        .boxed()
}

fn select_item() -> BoxedStrategy<SelectItem> {
    prop_oneof![
        4 => (expr(), option::of(name()))
            .prop_map(|(expr, alias)| SelectItem::Expr { expr, alias }),
        1 => option::of(name()).prop_map(|source| SelectItem::All { source, loc: Loc::default() }),
        1 => expr().prop_map(|base| SelectItem::StructAll { base, loc: Loc::default() }),
    ]
    .boxed()
}

pub(crate) fn query() -> BoxedStrategy<Query> {
    let emit = option::of(prop_oneof![Just(Emit::Changes), Just(Emit::Final)]);
    let from = (aliased_source(), vec(join(), 0..2));
    let head = (any::<bool>(), vec(select_item(), 1..4), from, option::of(window()));
    let tail = (
        option::of(expr()),
        vec(expr(), 0..3),
        vec(expr(), 0..3),
        option::of(expr()),
        emit,
        option::of(order_by()),
        option::of(0..=i64::MAX as u64),
    );
    (head, tail)
        .prop_map(|((distinct, items, (first, joins), window), tail)| {
            let (filter, group_by, partition_by, having, emit, order_by, limit) = tail;
            Query {
                distinct,
                items,
                from: Relation { first, joins },
                window,
                filter,
                group_by,
                partition_by,
                having,
                union_all: Vec::new(),
                emit,
                order_by,
                limit,
                extension: Extension::default(),
                loc: Loc::default(),
            }
        })
        .boxed()
}

pub(super) fn properties() -> BoxedStrategy<Properties> {
    let keys = ["KAFKA_TOPIC", "Lower", "a.b", "FORMAT", "KEY"];
    vec(option::of(literal()), keys.len())
        .prop_map(move |values| {
            let one = |(key, value): (&&str, Option<Literal>)| {
                value.map(|value| Property {
                    name: Ident::new(*key),
                    value,
                    value_loc: Loc::default(),
                })
            };
            let list = keys.iter().zip(values).filter_map(one).collect();
            Properties { list, loc: Loc::default() }
        })
        .boxed()
}

fn kind() -> BoxedStrategy<SourceKind> {
    prop_oneof![Just(SourceKind::Stream), Just(SourceKind::Table)].boxed()
}

fn columns(kind: SourceKind) -> BoxedStrategy<Vec<ColumnDef>> {
    let key = match kind {
        SourceKind::Stream => ColumnMarker::Key,
        SourceKind::Table => ColumnMarker::PrimaryKey,
    };
    let marker = prop_oneof![
        Just(ColumnMarker::None),
        Just(key),
        Just(ColumnMarker::Headers),
        text().prop_map(ColumnMarker::Header),
    ];
    let column = (name(), ty(), marker).prop_map(|(name, ty, marker)| ColumnDef {
        name,
        ty,
        marker,
        loc: Loc::default(),
    });
    vec(column, 0..4).boxed()
}

fn create_source() -> BoxedStrategy<CreateSource> {
    kind()
        .prop_flat_map(|kind| (Just(kind), columns(kind), any::<[bool; 3]>(), name(), properties()))
        .prop_map(|(kind, columns, flags, name, properties)| {
            let [or_replace, read_only, if_not_exists] = flags;
            CreateSource { kind, or_replace, read_only, if_not_exists, name, columns, properties }
        })
        .boxed()
}

pub(crate) fn statement() -> BoxedStrategy<Statement> {
    let plain = prop_oneof![
        2 => query().prop_map(|q| Statement::Query(Box::new(q))),
        2 => create_source().prop_map(|c| Statement::CreateSource(Box::new(c))),
        2 => data(),
        1 => small(),
        1 => admin(),
        1 => assert(),
    ];
    plain
        .prop_recursive(1, 2, 1, |s| s.prop_map(|s| Statement::ExplainStatement(Box::new(s))))
        .boxed()
}

fn data() -> BoxedStrategy<Statement> {
    let values = vec(expr(), 1..4).prop_flat_map(|values| {
        let count = values.len();
        (Just(values), prop_oneof![Just(0), Just(count)].prop_flat_map(|n| vec(name(), n)))
    });
    prop_oneof![
        (kind(), any::<[bool; 2]>(), name(), properties(), query()).prop_map(
            |(kind, [or_replace, if_not_exists], name, properties, query)| {
                let create = CreateAs { kind, or_replace, if_not_exists, name, properties, query };
                Statement::CreateAs(Box::new(create))
            }
        ),
        (name(), properties(), query()).prop_map(|(name, properties, query)| {
            Statement::InsertInto(Box::new(InsertInto { name, properties, query }))
        }),
        (name(), values).prop_map(|(name, (values, columns))| {
            Statement::InsertValues(Box::new(InsertValues { name, columns, values }))
        }),
    ]
    .boxed()
}

fn small() -> BoxedStrategy<Statement> {
    let column = (name(), ty()).prop_map(|(name, ty)| ColumnDef {
        name,
        ty,
        marker: ColumnMarker::None,
        loc: Loc::default(),
    });
    let target = option::of(name()).prop_map(|id| id.map_or(QueryTarget::All, QueryTarget::Id));
    prop_oneof![
        (kind(), any::<bool>(), name(), any::<bool>()).prop_map(
            |(kind, if_exists, name, delete_topic)| {
                Statement::DropSource(DropSource { kind, if_exists, name, delete_topic })
            }
        ),
        (kind(), name(), vec(column, 1..3))
            .prop_map(|(kind, name, columns)| Statement::AlterSource { kind, name, columns }),
        (any::<bool>(), name(), ty()).prop_map(|(if_not_exists, name, ty)| Statement::CreateType {
            if_not_exists,
            name,
            ty
        }),
        (any::<bool>(), name())
            .prop_map(|(if_exists, name)| Statement::DropType { if_exists, name }),
        target.clone().prop_map(Statement::Terminate),
        target.clone().prop_map(Statement::Pause),
        target.prop_map(Statement::Resume),
        name().prop_map(Statement::ExplainQuery),
        (text(), text()).prop_map(|(name, value)| Statement::Set { name, value }),
        text().prop_map(|name| Statement::Unset { name }),
        (text(), text()).prop_map(|(name, value)| Statement::AlterSystem { name, value }),
        (name(), text()).prop_map(|(name, value)| Statement::Define { name, value }),
        name().prop_map(|name| Statement::Undefine { name }),
        text().prop_map(|file| Statement::RunScript { file }),
    ]
    .boxed()
}

fn admin() -> BoxedStrategy<Statement> {
    let show = prop_oneof![
        any::<[bool; 2]>().prop_map(|[all, extended]| Show::Topics { all, extended }),
        any::<bool>().prop_map(|extended| Show::Streams { extended }),
        any::<bool>().prop_map(|extended| Show::Tables { extended }),
        any::<bool>().prop_map(|extended| Show::Queries { extended }),
        Just(Show::Functions),
        Just(Show::Connectors(None)),
        Just(Show::Connectors(Some(ConnectorKind::Sink))),
        Just(Show::ConnectorPlugins),
        Just(Show::Sinks),
        Just(Show::Variables),
    ];
    let describe = prop_oneof![
        (name(), any::<bool>()).prop_map(|(name, extended)| Describe::Source { name, extended }),
        any::<bool>().prop_map(|extended| Describe::Tables { extended }),
        name().prop_map(Describe::Function),
        name().prop_map(Describe::Connector),
        (name(), any::<bool>()).prop_map(|(name, extended)| Describe::Sink { name, extended }),
    ];
    let number = || option::of(0..1000_u64);
    let print = (name(), any::<bool>(), number(), number()).prop_map(
        |(topic, from_beginning, interval, limit)| Print { topic, from_beginning, interval, limit },
    );
    let connector = (any::<bool>(), name(), properties())
        .prop_filter("a connector has properties", |(_, _, properties)| !properties.is_empty())
        .prop_map(|(if_not_exists, name, properties)| CreateConnector {
            kind: ConnectorKind::Source,
            if_not_exists,
            name,
            properties,
        });
    prop_oneof![
        show.prop_map(Statement::Show),
        describe.prop_map(Statement::Describe),
        print.prop_map(Statement::Print),
        connector.prop_map(|c| Statement::CreateConnector(Box::new(c))),
        super::arbitrary_sinks::sinks(),
        (any::<bool>(), name())
            .prop_map(|(if_exists, name)| Statement::DropConnector { if_exists, name }),
    ]
    .boxed()
}

fn assert() -> BoxedStrategy<Statement> {
    let values = (name(), vec((name(), expr()), 1..3)).prop_map(|(name, cells)| {
        let (columns, values) = cells.into_iter().unzip();
        Box::new(AssertValues { name, columns, values })
    });
    let source = create_source().prop_map(|create| {
        let plain =
            CreateSource { or_replace: false, read_only: false, if_not_exists: false, ..create };
        Statement::AssertSource(Box::new(plain))
    });
    let topic = (any::<bool>(), name(), properties(), option::of(interval())).prop_map(
        |(exists, topic, properties, timeout)| {
            Statement::AssertTopic(Box::new(AssertTopic { exists, topic, properties, timeout }))
        },
    );
    let schema =
        (any::<bool>(), option::of(name()), option::of(any::<i64>()), option::of(interval()))
            .prop_map(|(exists, subject, id, timeout)| {
                Statement::AssertSchema(Box::new(AssertSchema { exists, subject, id, timeout }))
            });
    prop_oneof![
        values.clone().prop_map(Statement::AssertValues),
        values.prop_map(Statement::AssertTombstone),
        source,
        topic,
        schema,
    ]
    .boxed()
}
