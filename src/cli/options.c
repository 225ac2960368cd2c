/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { MOST_OPTIONS = 16, FIRST_OPTION = 256 /* beyond any letter */ };

/* ------------------------------------------------------------------ numbers */

const char *sotto_cli_number(const char *text, double *value)
{
    char *end;
    if (*text == '\0' || strspn(text, "+-.0123456789eE") != strlen(text))
        return "is not a decimal number"; /* strtod would take hexadecimal, nan and inf */
    errno = 0;
    *value = strtod(text, &end);
    if (end == text || *end != '\0')
        return "is not a decimal number";
    if (errno == ERANGE)
        return fabs(*value) > 1 ? "is too large for a number here" : "is too near 0 for a number here";
    return NULL;
}

static const char *read_count(const char *text, uint64_t *value)
{
    if (*text == '\0' || strspn(text, "0123456789") != strlen(text))
        return "is not a whole number in decimal digits";
    errno = 0;
    *value = strtoull(text, NULL, 10);
    return errno == ERANGE ? "is too large for a number here" : NULL;
}

static bool within(const sotto_option *option, double x)
{
    bool above = option->limits == SOTTO_LIMITS_CLOSED ? x >= option->low : x > option->low;
    bool below = option->limits == SOTTO_LIMITS_OPEN ? x < option->high : x <= option->high;
    return above && below;
}

static void describe_limits(const sotto_option *option, char *words, size_t size)
{
    char low[SOTTO_FIGURE_SIZE], high[SOTTO_FIGURE_SIZE];
    const char *what = option->kind == SOTTO_OPTION_COUNT ? "a whole number" : "a number";
    bool endless = !(option->high < HUGE_VAL);
    sotto_figure_exact(option->low, low);
    sotto_figure_exact(option->high, high);
    if (option->kind == SOTTO_OPTION_COUNT && option->high >= 1e15)
        endless = true;
    if (option->limits == SOTTO_LIMITS_OPEN)
        (void)snprintf(words, size, "%s between %s and %s, both excluded", what, low, high);
    else if (option->limits == SOTTO_LIMITS_OPEN_LOW)
        (void)snprintf(words, size, "%s above %s%s%s", what, low, endless ? "" : " and at most ",
                       endless ? "" : high);
    else if (endless)
        (void)snprintf(words, size, "%s of at least %s", what, low);
    else
        (void)snprintf(words, size, "%s from %s to %s", what, low, high);
}

/* ------------------------------------------------------------------- values */

static int refuse_number(const sotto_usage *usage, const sotto_option *option, const char *text,
                         const char *wrong)
{
    char wanted[160];
    describe_limits(option, wanted, sizeof wanted);
    return sotto_cli_usage(usage->command, "--%s '%.60s' %s; expected %s", option->name, text, wrong, wanted);
}

/* Compared as integers: a double cannot tell 2^53 from 2^53 + 1. */
static int store_count(const sotto_usage *usage, const sotto_option *option, const char *text)
{
    uint64_t count = 0;
    const char *wrong = read_count(text, &count);
    bool below = option->high >= 0x1p64 || count <= (uint64_t)option->high;
    if (!wrong && (count < (uint64_t)option->low || !below))
        wrong = "is out of range";
    if (wrong)
        return refuse_number(usage, option, text, wrong);
    *(uint64_t *)option->value = count;
    return SOTTO_CLI_GO_ON;
}

static int store_number(const sotto_usage *usage, const sotto_option *option, const char *text)
{
    double value = 0;
    const char *wrong = sotto_cli_number(text, &value);
    if (!wrong && !within(option, value))
        wrong = "is out of range";
    if (wrong)
        return refuse_number(usage, option, text, wrong);
    *(double *)option->value = value;
    return SOTTO_CLI_GO_ON;
}

static int store(const sotto_usage *usage, sotto_option *option, const char *text)
{
    if (option->given && option->kind != SOTTO_OPTION_LIST && option->kind != SOTTO_OPTION_FLAG)
        return sotto_cli_usage(usage->command, "--%s is given twice; expected it once", option->name);
    option->given = true;
    switch (option->kind) {
    case SOTTO_OPTION_FLAG:
        *(bool *)option->value = true;
        return SOTTO_CLI_GO_ON;
    case SOTTO_OPTION_TEXT:
        if (*text == '\0')
            return sotto_cli_usage(usage->command, "--%s is empty; expected a value", option->name);
        *(const char **)option->value = text;
        return SOTTO_CLI_GO_ON;
    case SOTTO_OPTION_LIST: {
        sotto_list *list = option->value;
        list->items[list->count++] = text;
        return SOTTO_CLI_GO_ON;
    }
    case SOTTO_OPTION_COUNT:
        return store_count(usage, option, text);
    case SOTTO_OPTION_NUMBER:
        break;
    }
    return store_number(usage, option, text);
}

/* ------------------------------------------------------------------- getopt */

static void list_options(const sotto_usage *usage, struct option *list)
{
    for (size_t i = 0; i < usage->option_count; i++)
        list[i] =
            (struct option){usage->options[i].name,
                            usage->options[i].kind == SOTTO_OPTION_FLAG ? no_argument : required_argument,
                            NULL, FIRST_OPTION + (int)i};
    list[usage->option_count] = (struct option){"help", no_argument, NULL, 'h'};
    list[usage->option_count + 1] = (struct option){0};
}

static int read_options(sotto_usage *usage, int argc, char **argv)
{
    struct option list[MOST_OPTIONS + 2];
    list_options(usage, list);
    optind = 0; /* GNU: begin anew */
    opterr = 0;
    int ended = SOTTO_CLI_GO_ON;
    while (ended == SOTTO_CLI_GO_ON) {
        int found = getopt_long(argc, argv, ":h", list, NULL);
        if (found == -1)
            break;
        const char *word = optind > 0 ? argv[optind - 1] : "";
        if (found == 'h') {
            (void)fputs(usage->help, stdout);
            ended = sotto_cli_finish();
        } else if (found == ':') {
            ended = sotto_cli_usage(usage->command, "%.60s lacks its value; expected one after it", word);
        } else if (found == '?' && optopt >= FIRST_OPTION) {
            ended = sotto_cli_usage(usage->command, "--%s takes no value; expected it alone",
                                    usage->options[optopt - FIRST_OPTION].name);
        } else if (found == '?' && optopt != 0) {
            ended = sotto_cli_usage(usage->command, "unknown option -%c", optopt);
        } else if (found == '?') {
            ended = sotto_cli_usage(usage->command, "unknown option %.*s", (int)strcspn(word, "="), word);
        } else {
            ended = store(usage, &usage->options[found - FIRST_OPTION], optarg);
        }
    }
    return ended;
}

static int read_operands(const sotto_usage *usage, int argc, char **argv, const char **operands)
{
    size_t found = (size_t)(argc - optind);
    for (size_t i = 0; i < usage->operand_count; i++)
        operands[i] = i < found ? argv[optind + (int)i] : NULL;
    if (found < usage->operands_required)
        return sotto_cli_usage(usage->command, "%s is missing; expected sotto %s %s",
                               usage->operand_names[found], usage->command, usage->operand_names[found]);
    if (found > usage->operand_count)
        return sotto_cli_usage(usage->command, "'%.60s' is one operand too many; expected %zu",
                               argv[optind + (int)usage->operand_count], usage->operand_count);
    for (size_t i = 0; i < usage->operand_count; i++)
        if (operands[i] && *operands[i] == '\0')
            return sotto_cli_usage(usage->command, "%s is empty; expected a path", usage->operand_names[i]);
    return SOTTO_CLI_GO_ON;
}

static int check_required(const sotto_usage *usage)
{
    for (size_t i = 0; i < usage->option_count; i++)
        if (usage->options[i].required && !usage->options[i].given)
            return sotto_cli_usage(usage->command, "--%s is missing; expected it with a value",
                                   usage->options[i].name);
    return SOTTO_CLI_GO_ON;
}

int sotto_cli_parse(sotto_usage *usage, int argc, char **argv, const char **operands)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        sotto_list *list = usage->options[i].value;
        if (usage->options[i].kind != SOTTO_OPTION_LIST)
            continue;
        *list = (sotto_list){calloc((size_t)argc + 1, sizeof *list->items), 0};
        if (!list->items) {
            sotto_error err = {.code = SOTTO_ERROR_MEMORY, .message = "out of memory"};
            return sotto_cli_fail(&err);
        }
    }
    int ended = read_options(usage, argc, argv);
    if (ended == SOTTO_CLI_GO_ON)
        ended = read_operands(usage, argc, argv, operands);
    if (ended == SOTTO_CLI_GO_ON)
        ended = check_required(usage);
    return ended;
}

void sotto_cli_release(sotto_usage *usage)
{
    for (size_t i = 0; i < usage->option_count; i++)
        if (usage->options[i].kind == SOTTO_OPTION_LIST) {
            sotto_list *list = usage->options[i].value;
            free(list->items);
            *list = (sotto_list){0};
        }
}
