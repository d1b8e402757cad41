//! The words that the grammar knows. Most are reserved; the rest may also be names.

macro_rules! keywords {
    (reserved { $($reserved:ident $reserved_text:literal)* }
     free { $($free:ident $free_text:literal)* }) => {
        /// A word of the grammar.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Keyword { $($reserved,)* $($free,)* }

        impl Keyword {
            /// From a word in any case.
            pub fn from_word(word: &str) -> Option<Keyword> {
                if word.len() > KEYWORD_BYTES_MAX {
                    return None;
                }
                match word.to_ascii_uppercase().as_str() {
                    $($reserved_text => Some(Keyword::$reserved),)*
                    $($free_text => Some(Keyword::$free),)*
                    _ => None,
                }
            }

            /// The word in upper case.
            pub fn text(self) -> &'static str {
                match self {
                    $(Keyword::$reserved => $reserved_text,)*
                    $(Keyword::$free => $free_text,)*
                }
            }

            /// True if the word must be quoted to be a name.
            pub fn is_reserved(self) -> bool {
                matches!(self, $(Keyword::$reserved)|*)
            }
        }
    };
}

/// No keyword is longer; longer words need no look-up.
const KEYWORD_BYTES_MAX: usize = 16;

keywords! {
    reserved {
        Select "SELECT" From "FROM" As "AS" All "ALL" Distinct "DISTINCT" Where "WHERE"
        Within "WITHIN" Window "WINDOW" Group "GROUP" By "BY" Having "HAVING" Limit "LIMIT"
        At "AT" Or "OR" And "AND" In "IN" Not "NOT" Exists "EXISTS" Between "BETWEEN"
        Like "LIKE" Is "IS" Null "NULL" True "TRUE" False "FALSE"
        Millisecond "MILLISECOND" Years "YEARS" Months "MONTHS" Days "DAYS" Hours "HOURS"
        Minutes "MINUTES" Seconds "SECONDS" Milliseconds "MILLISECONDS"
        Tumbling "TUMBLING" Hopping "HOPPING" Size "SIZE" Advance "ADVANCE"
        Retention "RETENTION" Case "CASE" When "WHEN" Then "THEN" Else "ELSE" End "END"
        Join "JOIN" Full "FULL" Outer "OUTER" Inner "INNER" Left "LEFT" Right "RIGHT" On "ON"
        With "WITH" Values "VALUES" Create "CREATE" Table "TABLE" Topic "TOPIC"
        Stream "STREAM" Streams "STREAMS" Insert "INSERT" Delete "DELETE" Into "INTO"
        Describe "DESCRIBE" Extended "EXTENDED" Print "PRINT" Cast "CAST" List "LIST"
        Topics "TOPICS" Query "QUERY" Queries "QUERIES" Terminate "TERMINATE" Pause "PAUSE"
        Resume "RESUME" Load "LOAD" Drop "DROP" To "TO" Rename "RENAME" Sample "SAMPLE"
        Export "EXPORT" Catalog "CATALOG" Properties "PROPERTIES" Beginning "BEGINNING"
        Unset "UNSET" Run "RUN" Script "SCRIPT" Decimal "DECIMAL" Connector "CONNECTOR"
        Connectors "CONNECTORS" Namespace "NAMESPACE" Materialized "MATERIALIZED" View "VIEW"
    }
    free {
        Show "SHOW" Tables "TABLES" Columns "COLUMNS" Column "COLUMN" Partitions "PARTITIONS"
        Functions "FUNCTIONS" Function "FUNCTION" Session "SESSION" Struct "STRUCT" Map "MAP"
        Array "ARRAY" Partition "PARTITION" Integer "INTEGER" Date "DATE" Time "TIME"
        Timestamp "TIMESTAMP" Interval "INTERVAL" Zone "ZONE" String "STRING" Year "YEAR"
        Month "MONTH" Day "DAY" Hour "HOUR" Minute "MINUTE" Second "SECOND"
        Explain "EXPLAIN" Analyze "ANALYZE" Type "TYPE" Types "TYPES" Set "SET" Reset "RESET"
        If "IF" Source "SOURCE" Sink "SINK" Primary "PRIMARY" Key "KEY" Emit "EMIT"
        Changes "CHANGES" Final "FINAL" Escape "ESCAPE" Replace "REPLACE" Assert "ASSERT"
        Alter "ALTER" Add "ADD" Header "HEADER" Headers "HEADERS" Grace "GRACE"
        Period "PERIOD" Define "DEFINE" Undefine "UNDEFINE" Variables "VARIABLES"
        Plugins "PLUGINS" System "SYSTEM" Timeout "TIMEOUT" Schema "SCHEMA"
        Subject "SUBJECT" Id "ID" For "FOR" Sinks "SINKS"
    }
}
