/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>

#include "report/report.h"

/* ------------------------------------------------------- what a record holds */

static const sotto_field guarantee_fields[] = {
    {"sentence", "In one sentence", SOTTO_FIELD_TEXT, false, NULL},
    {"epsilon", "ε, promised", SOTTO_FIELD_EPSILON, false, NULL},
    {"epsilon_of_steps_taken", "ε of the steps taken, where a run ends after as many", SOTTO_FIELD_EPSILON,
     false, SOTTO_WHERE_GIVEN},
    {"delta", "δ", SOTTO_FIELD_DELTA, false, NULL},
    {"target_epsilon", "ε, the budget", SOTTO_FIELD_EPSILON, false, NULL},
    {"unit", "Privacy unit", SOTTO_FIELD_TEXT, false, NULL},
    {"adjacency", "Adjacency", SOTTO_FIELD_TEXT, false, NULL},
    {"trust_model", "Trust model", SOTTO_FIELD_TEXT, false, NULL},
};
static const sotto_field access_fields[] = {
    {"name", "Access", SOTTO_FIELD_TEXT, false, NULL},
    {"what", "What it reads", SOTTO_FIELD_TEXT, true, NULL},
    {"mechanism", "Mechanism", SOTTO_FIELD_TEXT, true, NULL},
    {"sensitivity", "Sensitivity", SOTTO_FIELD_TEXT, true, NULL},
    {"sample_rate", "Sampling rate q", SOTTO_FIELD_RATE, false, NULL},
    {"noise_multiplier", "Noise multiplier σ", SOTTO_FIELD_NUMBER, false, SOTTO_UNLESS_NULL},
    {"count", "Uses", SOTTO_FIELD_COUNT, false, NULL},
    {"epsilon_alone", "ε, alone", SOTTO_FIELD_EPSILON, false, NULL},
};
static const sotto_field uncharged_fields[] = {
    {"what", "Access", SOTTO_FIELD_TEXT, false, NULL},
    {"why", "Why it costs nothing", SOTTO_FIELD_TEXT, false, NULL},
};
static const sotto_field released_fields[] = {
    {"file", "File", SOTTO_FIELD_NAME, false, NULL},
    {"what", "What it is", SOTTO_FIELD_TEXT, false, NULL},
    {"sha256", "SHA-256", SOTTO_FIELD_NAME, false, NULL},
};
static const sotto_field sampling_fields[] = {
    {"assumed", "Assumed by the accounting", SOTTO_FIELD_TEXT, false, NULL},
    {"actual", "Done by the program", SOTTO_FIELD_TEXT, false, NULL},
    {"sample_rate", "Sampling rate q", SOTTO_FIELD_RATE, false, SOTTO_UNLESS_NULL},
    {"expected_batch_size", "Expected batch size", SOTTO_FIELD_NUMBER, false, SOTTO_UNLESS_NULL},
    {"rows", "Rows, as declared", SOTTO_FIELD_COUNT, false, NULL},
};
static const sotto_field training_fields[] = {
    {"model", "Model", SOTTO_FIELD_TEXT, false, NULL},
    {"steps_planned", "Steps planned", SOTTO_FIELD_COUNT, false, NULL},
    {"steps_taken", "Steps taken", SOTTO_FIELD_COUNT, false, NULL},
    {"noise_multiplier", "Noise multiplier σ", SOTTO_FIELD_NUMBER, false, SOTTO_UNLESS_NULL},
    {"max_grad_norm", "Clipping norm C", SOTTO_FIELD_NUMBER, false, SOTTO_UNLESS_NULL},
    {"clipping", "Clipping", SOTTO_FIELD_TEXT, false, SOTTO_UNLESS_NULL},
    {"stopped", "Stopped", SOTTO_FIELD_TEXT, false, NULL},
    {"private_parameters", "Privately trained parameters", SOTTO_FIELD_COUNT, false, NULL},
};
static const sotto_field accounting_fields[] = {
    {"accountant", "Accountant", SOTTO_FIELD_TEXT, false, NULL},
    {"epsilon_lower", "No smaller ε is kept than", SOTTO_FIELD_LEAST, false, "pld"},
    {"order", "Order that gave ε", SOTTO_FIELD_NUMBER, false, "rdp"},
    {"orders", "Orders tried", SOTTO_FIELD_TEXT, false, "rdp"},
    {"conversion", "Conversion to (ε, δ)", SOTTO_FIELD_TEXT, false, NULL},
    {"rounding", "Rounding", SOTTO_FIELD_TEXT, false, NULL},
    {"adaptivity", "Adaptivity", SOTTO_FIELD_TEXT, false, NULL},
};
static const sotto_field curve_fields[] = {
    {"delta", "δ", SOTTO_FIELD_DELTA, false, NULL},
    {"epsilon", "ε", SOTTO_FIELD_EPSILON, false, NULL},
};
static const sotto_field attack_fields[] = {
    {"false_positive_rate", "Claims it wrongly, at most", SOTTO_FIELD_RATE, false, NULL},
    {"false_negative_rate", "Misses it, at least", SOTTO_FIELD_LEAST, false, NULL},
};
static const sotto_field noise_fields[] = {
    {"mode", "Mode", SOTTO_FIELD_TEXT, false, NULL},
    {"what", "How it is drawn", SOTTO_FIELD_TEXT, false, NULL},
    {"random_source", "Random source", SOTTO_FIELD_TEXT, false, NULL},
    {"draws", "Draws of noise, at most", SOTTO_FIELD_NUMBER, false, "exact"},
    {"delta", "Of δ, for drawing on a grid", SOTTO_FIELD_DELTA, false, "exact"},
    {"delta_accountant", "Of δ, left to the accountant", SOTTO_FIELD_DELTA, false, "exact"},
};
static const sotto_field hash_fields[] = {
    {"code", "Code", SOTTO_FIELD_NAME, false, NULL},
    {"config", "Config", SOTTO_FIELD_NAME, false, NULL},
    {"schema", "Schema", SOTTO_FIELD_NAME, false, NULL},
};

static const sotto_field ledger_fields[] = {
    {"data_set", "Data set", SOTTO_FIELD_NAME, false, SOTTO_UNLESS_NULL},
    {"run", "Run", SOTTO_FIELD_NAME, false, NULL},
    {"attempts", "Attempts", SOTTO_FIELD_NUMBER, false, NULL},
    {"ledger", "Ledger", SOTTO_FIELD_NAME, false, NULL},
    {"hash", "Last hash", SOTTO_FIELD_NAME, false, NULL},
};

#define FIELDS(list) (list), sizeof(list) / sizeof *(list)

static const sotto_section sections[] = {
    {"guarantee", "What this guarantees", NULL, SOTTO_SECTION_FIELDS, FIELDS(guarantee_fields)},
    {"accesses", "Every charged access to the real data",
     "Whatever of the real data is in the released files came through these accesses. Each was paid for "
     "before it happened. “ε, alone” is what the access would cost if it were the only one; costs do not "
     "simply add up.",
     SOTTO_SECTION_TABLE, FIELDS(access_fields)},
    {"uncharged_accesses", "Accesses that were not charged", NULL, SOTTO_SECTION_TABLE,
     FIELDS(uncharged_fields)},
    {"released", "What is released",
     "The guarantee covers these files. A file with another SHA-256 is not the one that this statement is "
     "about.",
     SOTTO_SECTION_TABLE, FIELDS(released_fields)},
    {"sampling", "Sampling", NULL, SOTTO_SECTION_FIELDS, FIELDS(sampling_fields)},
    {"training", "Training", NULL, SOTTO_SECTION_FIELDS, FIELDS(training_fields)},
    {"accounting", "Accounting", NULL, SOTTO_SECTION_FIELDS, FIELDS(accounting_fields)},
    {"curve", "ε at other values of δ",
     "One and the same release keeps all of these promises at once. A smaller δ leaves less to chance and "
     "goes with a larger ε.",
     SOTTO_SECTION_TABLE, FIELDS(curve_fields)},
    {"attack", "What an attacker must get wrong",
     "Somebody knows all of the table but whether one unit is in it, studies all that is released, and guesses. "
     "In return for claiming wrongly that the unit is there no more often than in the first column, the guess must "
     "miss it, where it is there, at least as often as in the second: by any means, with any amount of computing.",
     SOTTO_SECTION_TABLE, FIELDS(attack_fields)},
    {"preprocessing", "Preprocessing", NULL, SOTTO_SECTION_LIST, NULL, 0},
    {"tuning", "Tuning", NULL, SOTTO_SECTION_TEXT, NULL, 0},
    {"noise", "Noise", NULL, SOTTO_SECTION_FIELDS, FIELDS(noise_fields)},
    {"hashes", "Hashes", NULL, SOTTO_SECTION_FIELDS, FIELDS(hash_fields)},
    {"ledger", "Where it is charged", NULL, SOTTO_SECTION_FIELDS, FIELDS(ledger_fields)},
    {"not_covered", "What this does not cover", NULL, SOTTO_SECTION_LIST, NULL, 0},
};

const sotto_section *sotto_statement_sections(size_t *count)
{
    *count = sizeof sections / sizeof *sections;
    return sections;
}

bool sotto_statement_has(const sotto_section *section, size_t field, const json_t *object)
{
    const char *when = section->fields[field].when;
    if (when && strcmp(when, SOTTO_UNLESS_NULL) == 0)
        return !json_is_null(json_object_get(object, section->fields[field].key));
    if (when && strcmp(when, SOTTO_WHERE_GIVEN) == 0)
        return json_object_get(object, section->fields[field].key) &&
               !json_is_null(json_object_get(object, section->fields[field].key));
    const char *first = json_string_value(json_object_get(object, section->fields[0].key));
    return !when || (first && strcmp(first, when) == 0);
}

/* ---------------------------------------------------------------- checking */

/* Where in the record the check stands: "accesses[2].name"; every piece of it is our own text. */
typedef struct place {
    const char *name, *section;
    size_t index; /* counted from 0; SIZE_MAX outside lists */
    const char *field;
} place;

static sotto_status refuse(const place *at, const json_t *found, const char *wanted, sotto_error *err)
{
    char index[32] = "";
    if (at->index != SIZE_MAX)
        (void)snprintf(index, sizeof index, "[%zu]", at->index);
    return sotto_error_set_at(err, SOTTO_ERROR_INPUT, at->name, 0, 0,
                              "\"%s%s%s%s\" %s; expected %s; take the record as the run wrote it",
                              at->section, index, at->field ? "." : "", at->field ? at->field : "",
                              found ? "is not what it should be" : "is absent", wanted);
}

static bool in_range(const json_t *value, double low, double high)
{
    double number = json_number_value(value);
    return json_is_number(value) && number >= low && number <= high;
}

static sotto_status check_field(const place *at, const json_t *value, sotto_field_kind kind, sotto_error *err)
{
    const double most_counted = 9007199254740992.0; /* 2^53 */
    bool sound = false;
    const char *wanted = "";
    switch (kind) {
    case SOTTO_FIELD_TEXT:
    case SOTTO_FIELD_NAME:
        sound = json_is_string(value);
        wanted = "text";
        break;
    case SOTTO_FIELD_EPSILON:
    case SOTTO_FIELD_NUMBER:
    case SOTTO_FIELD_LEAST:
        sound = in_range(value, 0, HUGE_VAL);
        wanted = "a number of 0 or more";
        break;
    case SOTTO_FIELD_DELTA:
        sound = in_range(value, 5e-324, nextafter(1, 0));
        wanted = "a number between 0 and 1, both excluded";
        break;
    case SOTTO_FIELD_RATE:
        sound = in_range(value, 0, 1);
        wanted = "a number from 0 to 1";
        break;
    case SOTTO_FIELD_COUNT:
        sound =
            in_range(value, 0, most_counted) && floor(json_number_value(value)) == json_number_value(value);
        wanted = "a whole number of 0 or more";
        break;
    }
    return sound ? SOTTO_OK : refuse(at, value, wanted, err);
}

static sotto_status check_fields(place at, const json_t *object, const sotto_section *section,
                                 sotto_error *err)
{
    if (!json_is_object(object))
        return refuse(&at, object, "an object", err);
    for (size_t i = 0; i < section->field_count; i++) {
        at.field = section->fields[i].key;
        if (!sotto_statement_has(section, i, object))
            continue;
        sotto_status status =
            check_field(&at, json_object_get(object, at.field), section->fields[i].kind, err);
        if (status != SOTTO_OK)
            return status;
    }
    return SOTTO_OK;
}

static sotto_status check_list(place at, const json_t *list, const sotto_section *section, sotto_error *err)
{
    if (!json_is_array(list))
        return refuse(&at, list, "a list", err);
    sotto_status status = SOTTO_OK;
    for (at.index = 0; at.index < json_array_size(list) && status == SOTTO_OK; at.index++) {
        const json_t *item = json_array_get(list, at.index);
        status = section->shape == SOTTO_SECTION_TABLE ? check_fields(at, item, section, err)
                                                       : check_field(&at, item, SOTTO_FIELD_TEXT, err);
    }
    return status;
}

static sotto_status check_section(const char *name, const json_t *root, const sotto_section *section,
                                  sotto_error *err)
{
    place at = {name, section->key, SIZE_MAX, NULL};
    const json_t *value = json_object_get(root, section->key);
    if (section->shape == SOTTO_SECTION_FIELDS)
        return check_fields(at, value, section, err);
    if (section->shape == SOTTO_SECTION_TEXT)
        return check_field(&at, value, SOTTO_FIELD_TEXT, err);
    return check_list(at, value, section, err);
}

static sotto_status check_head(const char *name, const json_t *root, sotto_error *err)
{
    static const char *const texts[] = {"format", "made_by", "date"};
    place at = {name, "", SIZE_MAX, NULL};
    if (!json_is_object(root))
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, name, 0, 0,
                                  "holds no object; expected a record of format \"%s\"",
                                  SOTTO_STATEMENT_FORMAT);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        at.section = texts[i];
        sotto_status status = check_field(&at, json_object_get(root, texts[i]), SOTTO_FIELD_TEXT, err);
        if (status != SOTTO_OK)
            return status;
    }
    if (strcmp(json_string_value(json_object_get(root, "format")), SOTTO_STATEMENT_FORMAT) != 0)
        return sotto_error_set_at(err, SOTTO_ERROR_INPUT, name, 0, 0,
                                  "\"format\" is another one; this version reads \"%s\"; use the version "
                                  "that wrote the record",
                                  SOTTO_STATEMENT_FORMAT);
    /* Must be there: a record that lost the key must not pass for a private one. */
    at.section = "not_private";
    const json_t *not_private = json_object_get(root, "not_private");
    if (!json_is_null(not_private) && !json_is_string(not_private))
        return refuse(&at, not_private, "null or text", err);
    return SOTTO_OK;
}

sotto_status sotto_statement_parse(sotto_statement *statement, const char *name, const char *text,
                                   sotto_error *err)
{
    *statement = (sotto_statement){0};
    json_t *root;
    sotto_status status = sotto_record_load(name, text, &root, err);
    if (status != SOTTO_OK)
        return status;
    status = check_head(name, root, err);
    for (size_t i = 0; i < sizeof sections / sizeof *sections && status == SOTTO_OK; i++)
        status = check_section(name, root, &sections[i], err);
    if (status != SOTTO_OK) {
        json_decref(root);
        return status;
    }
    const json_t *guarantee = json_object_get(root, "guarantee");
    statement->root = root;
    statement->not_private = json_string_value(json_object_get(root, "not_private"));
    statement->made_by = json_string_value(json_object_get(root, "made_by"));
    statement->date = json_string_value(json_object_get(root, "date"));
    statement->sentence = json_string_value(json_object_get(guarantee, "sentence"));
    statement->epsilon = json_number_value(json_object_get(guarantee, "epsilon"));
    statement->delta = json_number_value(json_object_get(guarantee, "delta"));
    statement->target_epsilon = json_number_value(json_object_get(guarantee, "target_epsilon"));
    return SOTTO_OK;
}

void sotto_statement_release(sotto_statement *statement)
{
    json_decref(statement->root);
    *statement = (sotto_statement){0};
}

/* ----------------------------------------------------------------- reading */

const json_t *sotto_statement_get(const sotto_statement *statement, const sotto_section *section)
{
    return json_object_get(statement->root, section->key);
}

const char *sotto_statement_figure(sotto_field_kind kind, const json_t *value, char figure[SOTTO_FIGURE_SIZE])
{
    const double number = json_number_value(value);
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value)) /* 100000, not 1e5 */
        (void)snprintf(figure, SOTTO_FIGURE_SIZE, "%lld", (long long)json_integer_value(value));
    else if (kind == SOTTO_FIELD_LEAST)
        sotto_figure_down(number, 6, figure);
    else if (floor(number) == number)
        sotto_figure_exact(number, figure);
    else
        sotto_figure_up(number, 6, figure);
    return figure;
}

/* The access that training's steps are, by its noise and sampling. */
static bool is_of_steps(const sotto_statement *statement, const json_t *access)
{
    const json_t *training = json_object_get(statement->root, "training");
    const json_t *sampling = json_object_get(statement->root, "sampling");
    const json_t *noise = json_object_get(training, "noise_multiplier");
    const json_t *rate = json_object_get(sampling, "sample_rate");
    return json_is_number(noise) &&
           json_number_value(noise) == json_number_value(json_object_get(access, "noise_multiplier")) &&
           (!json_is_number(rate) ||
            json_number_value(rate) == json_number_value(json_object_get(access, "sample_rate")));
}

const char *sotto_statement_note(const sotto_statement *statement, const sotto_section *section)
{
    const json_t *accesses = json_object_get(statement->root, "accesses");
    const json_t *training = json_object_get(statement->root, "training");
    const double taken = json_number_value(json_object_get(training, "steps_taken"));
    bool more = false;
    for (size_t i = 0; i < json_array_size(accesses); i++) {
        const json_t *access = json_array_get(accesses, i);
        more = more || (is_of_steps(statement, access) &&
                        json_number_value(json_object_get(access, "count")) > taken);
    }
    return more && strcmp(section->key, "training") == 0
               ? "More steps are accounted for than were taken: they are charged in blocks ahead, and what was "
                 "charged and lost, or promised and left out, counts like those that were taken."
               : NULL;
}

void sotto_statement_odds(double epsilon, char text[SOTTO_FIGURE_SIZE])
{
    double odds = exp(epsilon);
    if (odds >= 1e6)
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "more than a million times");
    else {
        char figure[SOTTO_FIGURE_SIZE];
        sotto_figure_up(odds, odds < 1000 ? 3 : 6, figure);
        (void)snprintf(text, SOTTO_FIGURE_SIZE, "%.20s times", figure);
    }
}

double sotto_statement_posterior(double epsilon)
{
    double percent = 100 / (1 + exp(-epsilon));
    return fmin(100, ceil(percent * 10 - 1e-9) / 10);
}
