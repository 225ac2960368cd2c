/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "report/report.h"

/* Well-formed as XML too, so that a strict parser can prove that nothing in the record broke out of its
 * place. */

static void put(FILE *file, const char *text)
{
    sotto_text_put(file, text, true);
}

static void put_value(FILE *file, const sotto_field *field, const json_t *value)
{
    char figure[SOTTO_FIGURE_SIZE];
    const char *text = sotto_statement_figure(field->kind, value, figure);
    bool name = field->kind == SOTTO_FIELD_NAME;
    (void)fputs(name ? "<code>" : "", file);
    put(file, text);
    (void)fputs(name ? "</code>" : "", file);
}

/* ------------------------------------------------------------------- shapes */

static void put_fields(FILE *file, const sotto_section *section, const json_t *object)
{
    (void)fputs("<dl>\n", file);
    for (size_t i = 0; i < section->field_count; i++) {
        const sotto_field *field = &section->fields[i];
        if (!sotto_statement_has(section, i, object))
            continue;
        sotto_page_element(file, "dt", field->label);
        (void)fputs("<dd>", file);
        put_value(file, field, json_object_get(object, field->key));
        (void)fputs("</dd>\n", file);
    }
    (void)fputs("</dl>\n", file);
}

/* One cell: a field and those that stand beneath it. Gives the index of the next cell's field. */
static size_t put_cell(FILE *file, const sotto_section *section, const json_t *item, size_t i)
{
    const json_t *value = json_object_get(item, section->fields[i].key);
    const char *element = i == 0 ? "th" : "td";
    (void)fprintf(file, "<%s%s%s data-label=\"%s\"><span>", element, i == 0 ? " scope=\"row\"" : "",
                  json_is_number(value) ? " class=\"number\"" : "", section->fields[i].label);
    if (sotto_statement_has(section, i, item))
        put_value(file, &section->fields[i], value);
    else
        put(file, "–");
    for (i++; i < section->field_count && section->fields[i].beneath; i++) {
        if (!sotto_statement_has(section, i, item))
            continue;
        (void)fprintf(file, "<span class=\"beneath\">%s: ", section->fields[i].label);
        put_value(file, &section->fields[i], json_object_get(item, section->fields[i].key));
        (void)fputs("</span>", file);
    }
    (void)fprintf(file, "</span></%s>", element);
    return i;
}

static void put_row(FILE *file, const sotto_section *section, const json_t *item)
{
    (void)fputs("<tr>", file);
    for (size_t i = 0; i < section->field_count;)
        i = put_cell(file, section, item, i);
    (void)fputs("</tr>\n", file);
}

static void put_heads(FILE *file, const sotto_section *section, const json_t *first)
{
    (void)fputs("<thead><tr>", file);
    for (size_t i = 0; i < section->field_count; i++) {
        bool number = json_is_number(json_object_get(first, section->fields[i].key));
        if (!section->fields[i].beneath)
            (void)fprintf(file, "<th scope=\"col\"%s>%s</th>", number ? " class=\"number\"" : "",
                          section->fields[i].label);
    }
    (void)fputs("</tr></thead>\n", file);
}

static void put_table(FILE *file, const sotto_section *section, const json_t *list)
{
    const json_t *first = json_array_get(list, 0);
    if (!first) {
        (void)fputs("<p>None.</p>\n", file);
        return;
    }
    (void)fprintf(file, "<table class=\"%s\">\n", section->field_count > 2 ? "wide" : "narrow");
    put_heads(file, section, first);
    (void)fputs("<tbody>\n", file);
    for (size_t i = 0; i < json_array_size(list); i++)
        put_row(file, section, json_array_get(list, i));
    (void)fputs("</tbody></table>\n", file);
}

static void put_list(FILE *file, const json_t *list)
{
    if (json_array_size(list) == 0) {
        (void)fputs("<p>None.</p>\n", file);
        return;
    }
    (void)fputs("<ul>\n", file);
    for (size_t i = 0; i < json_array_size(list); i++)
        sotto_page_element(file, "li", json_string_value(json_array_get(list, i)));
    (void)fputs("</ul>\n", file);
}

/* -------------------------------------------------------------- the promise */

static void put_cards(FILE *file, const sotto_statement *s)
{
    char epsilon[SOTTO_FIGURE_SIZE], target[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
    char chance[SOTTO_FIGURE_SIZE];
    sotto_figure_up(s->epsilon, 4, epsilon);
    sotto_figure_up(s->target_epsilon, 4, target);
    sotto_figure_exact(s->delta, delta);
    sotto_figure_chance(s->delta, chance);
    (void)fprintf(file,
                  "<div class=\"cards\">\n"
                  "<p class=\"card\"><b>ε = %s</b><span>of a budget of %s</span></p>\n"
                  "<p class=\"card\"><b>δ = %s</b><span>%s</span></p>\n"
                  "</div>\n",
                  epsilon, target, delta, chance);
}

static void put_words(FILE *file, const sotto_statement *s)
{
    char odds[SOTTO_FIGURE_SIZE], chance[SOTTO_FIGURE_SIZE];
    sotto_statement_odds(s->epsilon, odds);
    sotto_figure_chance(s->delta, chance);
    (void)fprintf(
        file,
        "<p>Compare two worlds: in one the data of one privacy unit was in the table, in the other it "
        "was not. Whatever anyone concludes from the released files, by whatever means and whatever "
        "else they know, they conclude it in one world at most <strong>%s</strong> (e to the power "
        "of ε) as often as in the other, apart from a chance of at most <strong>%s</strong> (δ).</p>\n",
        odds, chance);
    (void)fprintf(
        file,
        "<p>An example, leaving δ aside: somebody who held it for a toss of a coin whether the unit "
        "was in the table can be at most <strong>%g %%</strong> sure after studying all that is "
        "released.</p>\n",
        sotto_statement_posterior(s->epsilon));
    (void)fputs(
        "<p class=\"note\">Smaller is stronger. A survey of practice calls ε up to 1 a strong formal "
        "guarantee, up to 10 a reasonable one, and above that weak to none (Ponomareva et al., “How to "
        "DP-fy ML”, 2023).</p>\n",
        file);
}

static void put_guarantee(FILE *file, const sotto_statement *s, const sotto_section *section)
{
    (void)fputs("<p class=\"sentence\">", file);
    put(file, s->sentence);
    (void)fputs("</p>\n", file);
    if (!s->not_private) { /* not a word of a promise that is not kept */
        put_cards(file, s);
        put_words(file, s);
    }
    sotto_section exact = *section; /* the sentence stands above */
    exact.fields++;
    exact.field_count--;
    put_fields(file, &exact, sotto_statement_get(s, section));
}

/* --------------------------------------------------------------------- page */

static void put_section(FILE *file, const sotto_statement *s, const sotto_section *section)
{
    const json_t *value = sotto_statement_get(s, section);
    bool promise = strcmp(section->key, "guarantee") == 0;
    bool void_promise = promise && s->not_private;
    (void)fprintf(file, "<section id=\"%s\">\n<h2>%s</h2>\n", section->key,
                  void_promise ? "What this would guarantee, were it private" : section->title);
    if (section->lead && !s->not_private) /* the leads speak of what is guaranteed */
        sotto_page_element(file, "p", section->lead);
    if (strcmp(section->key, "curve") == 0)
        sotto_statement_chart(s, file);
    if (strcmp(section->key, "attack") == 0)
        sotto_statement_attack_chart(s, file);
    if (promise)
        put_guarantee(file, s, section);
    else if (section->shape == SOTTO_SECTION_FIELDS)
        put_fields(file, section, value);
    else if (section->shape == SOTTO_SECTION_TABLE)
        put_table(file, section, value);
    else if (section->shape == SOTTO_SECTION_LIST)
        put_list(file, value);
    else
        sotto_page_element(file, "p", json_string_value(value));
    if (strcmp(section->key, "accesses") == 0) {
        char epsilon[SOTTO_FIGURE_SIZE], delta[SOTTO_FIGURE_SIZE];
        sotto_figure_up(s->epsilon, 6, epsilon);
        sotto_figure_up(s->delta, 6, delta);
        (void)fprintf(file, "<p class=\"total\">All of them together: ε = %s at δ = %s.</p>\n", epsilon,
                      delta);
    }
    if (sotto_statement_note(s, section))
        sotto_page_element(file, "p", sotto_statement_note(s, section));
    (void)fputs("</section>\n", file);
}

void sotto_statement_html(const sotto_statement *statement, FILE *file)
{
    size_t count;
    const sotto_section *sections = sotto_statement_sections(&count);
    sotto_page_head(file, "Privacy statement", statement->date, statement->not_private != NULL, false);
    sotto_page_banner(file, statement->not_private);
    (void)fputs("<main>\n<header>\n<h1>Privacy statement</h1>\n<p class=\"origin\">Made by ", file);
    put(file, statement->made_by);
    (void)fputs(" on ", file);
    put(file, statement->date);
    (void)fputs(", from the charges that were made.</p>\n</header>\n", file);
    for (size_t i = 0; i < count; i++)
        put_section(file, statement, &sections[i]);
    sotto_page_banner(file, statement->not_private);
    (void)fputs(
        "<footer><p>Every figure here is one of <code>privacy.json</code>, the record beside this page, which has "
        "all digits: here six are left, rounded up, and in bounds from below down. "
        "This page runs no scripts and loads nothing. ",
        file);
    (void)fputs("Format: ", file);
    put(file, SOTTO_STATEMENT_FORMAT);
    (void)fputs(".</p></footer>\n</main>\n</body>\n</html>\n", file);
}
