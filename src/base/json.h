/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SOTTO_BASE_JSON_H
#define SOTTO_BASE_JSON_H

/**
 * JSON by jansson, made safe where memory is short. By itself its reader (2.14, lex_save) then drops a
 * character of a number or a name without a word, or reads on beyond the end of its text, and its writer
 * leaves parts of the text out; so all text is read and written through here. And a record is put together
 * from some hundred parts; one that was left out for want of memory would make it untrue.
 */

#include <jansson.h>

#include "sotto/status.h"

/** In an error's text: the reader asked for more than is held in reserve for it, which no text can make it
 * do. */
#define SOTTO_JSON_RAN_OUT "the reserve ran out"

/**
 * JSON of `length` bytes of `text`, in which no key stands twice.
 * \param[out] json a new reference; NULL where it fails
 * \param[out] at   where the text is wrong; may be NULL. The parser's own words there may quote the text
 * \return SOTTO_ERROR_INPUT where it is no JSON; SOTTO_ERROR_MEMORY where any request was refused. No message
 *         in either case
 */
sotto_status sotto_json_parse(json_t **json, const char *text, size_t length, json_error_t *at);

/** The same of a text that ends with a NUL, or is NULL; and of a file. NULL where there is no such JSON. */
json_t *sotto_json_read(const char *text);
json_t *sotto_json_read_file(const char *path);

/** Text by the flags of `json_dumps`, all of it; caller frees. NULL where memory is short, and of no object
 * or array. */
char *sotto_json_dump(const json_t *json, size_t flags);

/** From now on no record is written once memory for any part of any was short: at the start of what makes
 * records. */
void sotto_json_watch(void);

/** JSON text with 17 significant digits, indented, a newline at the end; caller frees. Steals `json`. */
sotto_status sotto_json_text(json_t *json, char **text, sotto_error *err);

#endif
