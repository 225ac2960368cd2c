/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

/* ---------------------------------------------------------- a page begun */

void sotto_page_head(FILE *file, const char *title, const char *date, bool not_private, bool private_page)
{
    (void)fprintf(file,
                  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                  "'unsafe-inline'\"/>\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                  "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>%s%s, ",
                  not_private ? "NOT PRIVATE: " : "", title);
    sotto_text_put(file, date, true);
    (void)fprintf(file, "</title>\n<style>\n%s%s%s%s</style>\n</head>\n<body%s>\n", sotto_report_style,
                  private_page ? sotto_report_style_roles : "", private_page ? sotto_report_style_pages : "",
                  sotto_report_style_media, not_private ? " class=\"not-private\"" : "");
}

/* The record's reason, unless it only repeats the words of the banner. */
void sotto_page_banner(FILE *file, const char *not_private)
{
    static const char words[] = "NOT PRIVATE";
    if (!not_private)
        return;
    if (strncmp(not_private, words, sizeof words - 1) == 0)
        not_private += sizeof words - 1;
    not_private += strspn(not_private, ": ");
    (void)fprintf(file, "<div class=\"banner\" role=\"alert\"><strong>%s</strong> ", words);
    sotto_text_put(file, not_private, true);
    (void)fputs("</div>\n", file);
}

void sotto_page_element(FILE *file, const char *name, const char *text)
{
    (void)fprintf(file, "<%s>", name);
    sotto_text_put(file, text, true);
    (void)fprintf(file, "</%.*s>\n", (int)strcspn(name, " "), name);
}

sotto_status sotto_page_open(sotto_page *page, const json_t *root, const char *title, sotto_error *err)
{
    *page = (sotto_page){.root = root};
    page->file = sotto_memory_open(&page->text, &page->size);
    page->script = sotto_memory_open(&page->commands, &page->length);
    if (!page->file || !page->script) {
        sotto_page_abandon(page);
        return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory writing the page");
    }
    const char *not_private = json_string_value(json_object_get(root, "not_private"));
    sotto_page_head(page->file, title, sotto_record_text(root, "date"), not_private != NULL, true);
    /* What surrounds <main> is repeated on each printed sheet. */
    (void)fputs("<div class=\"inside\"><strong>Private.</strong> " SOTTO_PAGE_NOTICE "</div>\n", page->file);
    sotto_page_banner(page->file, not_private);
    (void)fprintf(page->file, "<main>\n<header>\n<h1>%s</h1>\n<p class=\"origin\">Made by ", title);
    sotto_text_put(page->file, sotto_record_text(root, "made_by"), true);
    (void)fputs(" on ", page->file);
    sotto_text_put(page->file, sotto_record_text(root, "date"), true);
    return SOTTO_OK;
}

/* ---------------------------------------------------------------- pictures */

static char *clip(const char *text, size_t most)
{
    char *copy = NULL;
    size_t size, width = sotto_text_width(text), bytes = 0, characters = 0;
    if (width <= most)
        return strdup(text);
    while (characters + 1 < most && text[bytes]) {
        bytes++;
        while (((unsigned char)text[bytes] & 0xC0) == 0x80)
            bytes++;
        characters++;
    }
    FILE *file = sotto_memory_open(&copy, &size);
    if (!file)
        return NULL;
    (void)fwrite(text, 1, bytes, file);
    (void)fputs("…", file);
    (void)fclose(file);
    return copy;
}

/* Room for one more at the end of a list that doubles. */
static void *room_for(void *list, size_t count, size_t size)
{
    const bool full = (count & (count - 1)) == 0;
    return full ? reallocarray(list, count ? 2 * count : 1, size) : list;
}

void sotto_page_label(sotto_page *page, const char *text, size_t most)
{
    char *label = clip(text, most);
    char **labels = room_for(page->labels, page->label_count, sizeof *labels);
    if (labels)
        page->labels = labels;
    if (!label || !labels) {
        free(label);
        page->failed = true;
        (void)fputs("\"\"", page->script);
        return;
    }
    labels[page->label_count] = label;
    const int used = fprintf(page->script, "\"Q%zuQ", page->label_count++) - 1;
    for (size_t width = (size_t)used; width < sotto_text_width(label); width++)
        (void)fputc('Q', page->script);
    (void)fputc('"', page->script);
}

FILE *sotto_page_figure(sotto_page *page, int width, int height, const char *title, const char *words)
{
    sotto_picture *pictures = room_for(page->pictures, page->picture_count, sizeof *pictures);
    (void)fflush(page->file);
    if (pictures) {
        page->pictures = pictures;
        pictures[page->picture_count++] =
            (sotto_picture){page->size, page->size, page->size, width, height, strdup(title), strdup(words)};
    }
    page->failed = page->failed || !pictures || !pictures[page->picture_count - 1].title ||
                   !pictures[page->picture_count - 1].words;
    (void)fputs("<figure>\n", page->file);
    (void)fprintf(page->script,
                  "reset\nset encoding utf8\nset terminal svg size %d,%d noenhanced font 'Arial,13'\n"
                  "unset key\nset border 3 lc rgb %u\nset tics nomirror scale 0.5 textcolor rgb %u\n",
                  width, height, sotto_role_colour(SOTTO_ROLE_GRID, 1),
                  sotto_role_colour(SOTTO_ROLE_AXIS, 1));
    return page->script;
}

void sotto_page_figure_end(sotto_page *page, const char *caption, const sotto_legend *legend, size_t count)
{
    FILE *file = page->file;
    if (*caption)
        sotto_page_element(file, "figcaption", caption);
    if (count)
        (void)fputs("<ul class=\"legend\">\n", file);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(file, "<li><i class=\"%s\" style=\"color:var(--%s)\"></i>",
                      legend[i].dashed ? "dashed" : "swatch", sotto_role_name(legend[i].role));
        sotto_text_put(file, legend[i].label, true);
        (void)fputs("</li>\n", file);
    }
    if (count)
        (void)fputs("</ul>\n", file);
    (void)fflush(file);
    if (page->picture_count)
        page->pictures[page->picture_count - 1].at = page->size;
    (void)fputs("</figure>\n", file);
    (void)fflush(file);
    if (page->picture_count)
        page->pictures[page->picture_count - 1].end = page->size;
}

/* ------------------------------------------------------------ a page ended */

static char *make_picture(const sotto_page *page, size_t index, const char *begin, const char *end)
{
    const sotto_picture *picture = &page->pictures[index];
    char *text = NULL;
    size_t size;
    FILE *file = sotto_memory_open(&text, &size);
    if (!file)
        return NULL;
    (void)fprintf(file,
                  "<svg class=\"picture\" viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" "
                  "aria-labelledby=\"picture-%zu picture-%zu-words\">\n<title id=\"picture-%zu\">",
                  picture->width, picture->height, picture->width * 6 / 5, index, index, index);
    sotto_text_put(file, picture->title, true);
    (void)fprintf(file, "</title>\n<desc id=\"picture-%zu-words\">", index);
    sotto_text_put(file, picture->words, true);
    (void)fputs("</desc>\n", file);
    bool sound = sotto_plot_put(file, begin, end, (const char *const *)page->labels, page->label_count);
    (void)fputs("</svg>\n", file);
    sound = fclose(file) == 0 && sound;
    if (sound)
        return text;
    free(text);
    return NULL;
}

/* A picture for each that was asked for; none at all where gnuplot is absent or answered otherwise. */
static char **draw(const sotto_page *page)
{
    char *program = page->picture_count ? sotto_plot_find() : NULL;
    char *answer = program ? sotto_plot_run(program, page->commands) : NULL;
    char **drawn = answer ? calloc(page->picture_count, sizeof *drawn) : NULL;
    const char *at = answer, *begin, *end;
    for (size_t i = 0; drawn && at && i < page->picture_count; i++) {
        at = sotto_plot_take(at, &begin, &end);
        if (at)
            drawn[i] = make_picture(page, i, begin, end);
    }
    if (drawn && (!at || strstr(at, "<svg"))) { /* too few or too many: which is which is not known */
        for (size_t i = 0; i < page->picture_count; i++)
            free(drawn[i]);
        free(drawn);
        drawn = NULL;
    }
    free(answer);
    free(program);
    return drawn;
}

static void put_note(FILE *file, char *const *drawn)
{
    if (!drawn)
        (void)fputs(
            "<p class=\"note missing\">This page has no pictures: gnuplot, which draws them, was not found "
            "or did not answer. Install gnuplot and write the page again with <code>sotto report</code>. The "
            "tables are whole.</p>\n",
            file);
}

static void splice(const sotto_page *page, FILE *file, char **drawn)
{
    size_t from = 0;
    for (size_t i = 0; i < page->picture_count; i++) {
        const sotto_picture *picture = &page->pictures[i];
        if (page->note_at && page->note_at >= from && page->note_at <= picture->begin) {
            (void)fwrite(page->text + from, 1, page->note_at - from, file);
            put_note(file, drawn);
            from = page->note_at;
        }
        (void)fwrite(page->text + from, 1, picture->begin - from, file);
        if (drawn && drawn[i]) {
            (void)fwrite(page->text + picture->begin, 1, picture->at - picture->begin, file);
            (void)fputs(drawn[i], file);
            (void)fwrite(page->text + picture->at, 1, picture->end - picture->at, file);
        }
        from = picture->end;
    }
    (void)fwrite(page->text + from, 1, page->size - from, file);
}

void sotto_page_note(sotto_page *page)
{
    (void)fflush(page->file);
    page->note_at = page->size;
}

void sotto_page_abandon(sotto_page *page)
{
    if (page->file)
        (void)fclose(page->file);
    if (page->script)
        (void)fclose(page->script);
    for (size_t i = 0; i < page->picture_count; i++) {
        free(page->pictures[i].title);
        free(page->pictures[i].words);
    }
    for (size_t i = 0; i < page->label_count; i++)
        free(page->labels[i]);
    free(page->pictures);
    free(page->labels);
    free(page->text);
    free(page->commands);
    *page = (sotto_page){0};
}

static bool end_streams(sotto_page *page)
{
    bool sound = !page->failed && !ferror(page->file) && !ferror(page->script);
    sound = fclose(page->file) == 0 && sound;
    sound = fclose(page->script) == 0 && sound;
    page->file = page->script = NULL;
    return sound;
}

sotto_status sotto_page_close(sotto_page *page, const char *format, char **html, sotto_error *err)
{
    size_t size;
    (void)fprintf(
        page->file,
        "<footer><p>" SOTTO_PAGE_NOTICE " This page formats a record (%s) and computes no "
        "privacy figure. It runs no scripts and loads nothing.</p></footer>\n</main>\n</body>\n</html>\n",
        format);
    bool sound = end_streams(page);
    FILE *file = sound ? sotto_memory_open(html, &size) : NULL;
    if (file) {
        char **drawn = draw(page);
        splice(page, file, drawn);
        for (size_t i = 0; drawn && i < page->picture_count; i++)
            free(drawn[i]);
        free(drawn);
        sound = !ferror(file);
        sound = fclose(file) == 0 && sound;
    }
    sotto_page_abandon(page);
    if (file && sound)
        return SOTTO_OK;
    if (file)
        free(*html);
    *html = NULL;
    return sotto_error_set(err, SOTTO_ERROR_MEMORY, "out of memory writing the page");
}
