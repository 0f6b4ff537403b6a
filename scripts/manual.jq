# Renders the manual page from what holdfast says of its own command line.
# Usage: holdfast --experimental-dump-help | jq --raw-output --arg version 1.0 --from-file scripts/manual.jq

# Text that troff prints as it is.
def escaped: gsub("\\\\"; "\\e") | gsub("-"; "\\-") | gsub("(?m)^(?<mark>[.'])"; "\\&\(.mark)");
# Escaped text in which an empty line begins a paragraph; nothing for nothing.
def paragraphs: select(. != null and . != "") | [splits("\n\n+") | escaped] | join("\n.PP\n");

# An argument's name as it is typed, and its value.
def dashed: (if .kind == "long" then "--" else "-" end) + .name | escaped | "\\fB" + . + "\\fR";
def value: "\\fI" + (.valueName | ascii_upcase | escaped) + "\\fR";
def typed: if .kind == "option" then " " + value else "" end;

# The arguments to show; those that every verb has are described once.
def shown: (.arguments // [])[] | select(.shouldDisplay);
def own: shown | select([(.names // [])[].name] | any(. == "help" or . == "version") | not)
    | select(.sectionTitle != "Global Options");

def usage:
    . as $argument
    | (if .kind == "positional" then value else (.preferredName | dashed) + typed end)
    | if $argument.isRepeating then . + "..." else . end
    | if $argument.isOptional then "[" + . + "]" else . end;
def prose: [.abstract, .discussion | select(. != null and . != "")] | join("\n\n");
def choices: (.allValues // .allValueStrings // []) | select(length > 0) | "One of " + join(", ") + ".";
def default: .defaultValue | select(. != null and . != "") | "Default: " + . + ".";
def entry:
    ".TP",
    (if .kind == "positional" then value else ([.names[] | dashed] | join(", ")) + typed end),
    ([prose, choices, default] | map(select(. != "")) | join(" ") | gsub("\n+"; " ") | paragraphs);

def verbs: (.subcommands // [])[] | select(.commandName != "help" and .shouldDisplay != false);
# A verb that only groups others has no section of its own.
def section:
    ([(.superCommands // [])[1:][], .commandName] | join(" ")) as $name
    | (if [verbs] | length > 0 then empty
        else
            ".SS " + ($name | escaped),
            ([("\\fBholdfast " + ($name | escaped) + "\\fR"), (own | usage)] | join(" ")),
            ".PP", (prose | paragraphs), (own | entry)
        end),
        (verbs | section);

.command
| ".TH " + (.commandName | ascii_upcase) + " 1 \"\" \"" + .commandName + " " + $version + "\" \"User Commands\"",
    ".SH NAME",
    .commandName + " \\- " + ((.abstract // "") | rtrimstr(".") | escaped),
    ".SH SYNOPSIS",
    "\\fB" + .commandName + "\\fR \\fIVERB\\fR [\\fIARGUMENT\\fR]...",
    (.discussion | select(. != null and . != "") | ".SH DESCRIPTION", paragraphs),
    ".SH OPTIONS", (shown | entry),
    ".SH VERBS", (verbs | section),
    ".SH ENVIRONMENT",
    ".TP", "\\fBHOLDFAST_REPO\\fR", "The repository, where \\fB\\-\\-repo\\fR is not given.",
    ".TP", "\\fBHOLDFAST_PASSWORD\\fR, \\fBHOLDFAST_PASSWORD_FILE\\fR, \\fBHOLDFAST_PASSWORD_COMMAND\\fR",
    "The password, a file that holds it, or a command that prints it.",
    ".TP", "\\fBHOLDFAST_KEY_FILE\\fR", "A file that holds a raw key of 32 bytes, instead of a password.",
    ".TP", "\\fBHOLDFAST_CACHE_DIR\\fR", "The cache, where \\fB\\-\\-cache\\-dir\\fR is not given.",
    ".SH EXIT STATUS",
    ("0 done", "1 failed", "3 partial", "4 a check failed", "10 no repository", "11 busy",
        "12 wrong key or no right", "64 usage", "130 interrupted"
        | split(" ") | ".TP", "\\fB" + .[0] + "\\fR", (.[1:] | join(" ")))
