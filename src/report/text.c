/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

enum { COLUMNS = 80 };

/* Words set into lines of at most COLUMNS, each begun by `indent` blanks. */
typedef struct setter {
    FILE *file;
    size_t indent;
    size_t column; /* 0 at the start of a line */
} setter;

static void end_line(setter *to)
{
    (void)fputc('\n', to->file);
    to->column = 0;
}

/* One word that holds no blank, set whole. */
static void set_word(setter *to, const char *word)
{
    size_t width = sotto_text_width(word);
    if (to->column > to->indent && to->column + 1 + width > COLUMNS)
        end_line(to);
    else if (to->column > to->indent) {
        (void)fputc(' ', to->file);
        to->column++;
    }
    for (; to->column < to->indent; to->column++)
        (void)fputc(' ', to->file);
    sotto_text_put(to->file, word, false);
    to->column += width;
}

/* A word of more bytes than `piece` holds is set in pieces, between characters. */
static void set_text(setter *to, const char *text)
{
    static const char blanks[] = " \n\r\t";
    char piece[257];
    for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
        size_t length = strcspn(text, blanks);
        if (length >= sizeof piece) {
            length = sizeof piece - 1;
            while (length > 1 && ((unsigned char)text[length] & 0xC0) == 0x80)
                length--;
        }
        memcpy(piece, text, length);
        piece[length] = '\0';
        set_word(to, piece);
        text += length;
    }
}

void sotto_text_paragraph(FILE *file, size_t indent, const char *text)
{
    setter to = {file, indent, 0};
    set_text(&to, text);
    end_line(&to);
}

/* "  label    value" with the value's lines hanging under its first. */
void sotto_text_pair(FILE *file, size_t indent, size_t label_width, const char *label, const char *value)
{
    size_t width = sotto_text_width(label);
    (void)fprintf(file, "%*s%s%*s", (int)indent, "", label,
                  (int)(width < label_width ? label_width - width : 0), "");
    setter to = {file, indent + label_width + 2, indent + (width < label_width ? label_width : width)};
    if (width > label_width)
        end_line(&to);
    set_text(&to, value);
    end_line(&to);
}

/* ------------------------------------------------------------------- shapes */

static size_t label_width(const sotto_section *section)
{
    size_t most = 0;
    for (size_t i = 0; i < section->field_count; i++) {
        size_t width = sotto_text_width(section->fields[i].label);
        most = width > most ? width : most;
    }
    return most < 28 ? most : 28;
}

static void set_object(FILE *file, const sotto_section *section, const json_t *object)
{
    size_t width = label_width(section);
    for (size_t i = 0; i < section->field_count; i++) {
        char figure[SOTTO_FIGURE_SIZE];
        if (!sotto_statement_has(section, i, object))
            continue;
        const json_t *value = json_object_get(object, section->fields[i].key);
        sotto_text_pair(file, 2, width, section->fields[i].label,
                        sotto_statement_figure(section->fields[i].kind, value, figure));
    }
}

static void set_table(FILE *file, const sotto_section *section, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i > 0)
            (void)fputc('\n', file);
        set_object(file, section, json_array_get(list, i));
    }
}

/* Two figures to a line, under their labels. */
static void set_figures(FILE *file, const sotto_section *section, const json_t *list)
{
    const sotto_field *left = &section->fields[0], *right = &section->fields[1];
    const size_t label = sotto_text_width(left->label), width = label < 13 ? 13 : label;
    (void)fprintf(file, "  %s%*s  %s\n", left->label, (int)(width - label), "", right->label);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char first[SOTTO_FIGURE_SIZE], second[SOTTO_FIGURE_SIZE];
        const json_t *item = json_array_get(list, i);
        (void)fprintf(file, "  %-*s  %s\n", (int)width,
                      sotto_statement_figure(left->kind, json_object_get(item, left->key), first),
                      sotto_statement_figure(right->kind, json_object_get(item, right->key), second));
    }
}

void sotto_text_item(FILE *file, const char *text)
{
    setter to = {file, 4, 3};
    (void)fputs("  -", file);
    set_text(&to, text);
    end_line(&to);
}

static void set_list(FILE *file, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        sotto_text_item(file, json_string_value(json_array_get(list, i)));
    }
}

/* --------------------------------------------------------------------- page */

void sotto_text_banner(FILE *file, const char *not_private)
{
    static const char words[] = "NOT PRIVATE";
    if (!not_private)
        return;
    if (strncmp(not_private, words, sizeof words - 1) == 0)
        not_private += sizeof words - 1;
    (void)fputs("!!! NOT PRIVATE !!! NOT PRIVATE !!! NOT PRIVATE !!! NOT PRIVATE !!!\n", file);
    sotto_text_paragraph(file, 4, not_private + strspn(not_private, ": "));
    (void)fputs("\n", file);
}

static void set_words(FILE *file, const sotto_statement *s)
{
    char odds[SOTTO_FIGURE_SIZE], chance[SOTTO_FIGURE_SIZE], epsilon[SOTTO_FIGURE_SIZE];
    char delta[SOTTO_FIGURE_SIZE];
    char words[640];
    sotto_figure_up(s->epsilon, 4, epsilon);
    sotto_figure_exact(s->delta, delta);
    sotto_statement_odds(s->epsilon, odds);
    sotto_figure_chance(s->delta, chance);
    (void)snprintf(words, sizeof words,
                   "ε = %s at δ = %s: whatever anyone concludes from the released files, they conclude it at "
                   "most %s (e to the power of ε) as often with the data of one privacy unit in the table as "
                   "without, or the other way round, apart from a chance of at most %s (δ).",
                   epsilon, delta, odds, chance);
    sotto_text_paragraph(file, 2, words);
}

static void set_guarantee(FILE *file, const sotto_statement *s, const sotto_section *section)
{
    sotto_text_paragraph(file, 2, s->sentence);
    if (!s->not_private) /* not a word of a promise that is not kept */
        set_words(file, s);
    sotto_section exact = *section; /* the sentence stands above */
    exact.fields++;
    exact.field_count--;
    set_object(file, &exact, sotto_statement_get(s, section));
}

static void set_section(FILE *file, const sotto_statement *s, const sotto_section *section)
{
    const json_t *value = sotto_statement_get(s, section);
    bool promise = strcmp(section->key, "guarantee") == 0;
    (void)fprintf(file, "\n%s\n",
                  promise && s->not_private ? "What this would guarantee, were it private" : section->title);
    if (json_is_array(value) && json_array_size(value) == 0)
        (void)fputs("  None.\n", file);
    if (promise)
        set_guarantee(file, s, section);
    else if (strcmp(section->key, "curve") == 0 || strcmp(section->key, "attack") == 0)
        set_figures(file, section, value);
    else if (section->shape == SOTTO_SECTION_FIELDS)
        set_object(file, section, value);
    else if (section->shape == SOTTO_SECTION_TABLE)
        set_table(file, section, value);
    else if (section->shape == SOTTO_SECTION_LIST)
        set_list(file, value);
    else
        sotto_text_paragraph(file, 2, json_string_value(value));
    if (sotto_statement_note(s, section))
        sotto_text_paragraph(file, 2, sotto_statement_note(s, section));
}

void sotto_statement_text(const sotto_statement *statement, FILE *file)
{
    size_t count;
    const sotto_section *sections = sotto_statement_sections(&count);
    sotto_text_banner(file, statement->not_private);
    (void)fputs("Privacy statement\n", file);
    (void)fputs("Made by ", file);
    sotto_text_put(file, statement->made_by, false);
    (void)fputs(" on ", file);
    sotto_text_put(file, statement->date, false);
    (void)fputs(", from the charges that were made.\n", file);
    for (size_t i = 0; i < count; i++)
        set_section(file, statement, &sections[i]);
    if (statement->not_private) {
        (void)fputs("\n", file);
        sotto_text_banner(file, statement->not_private);
    }
    (void)fputs("\nFormat: " SOTTO_STATEMENT_FORMAT "\n", file);
}
