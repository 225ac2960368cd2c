/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_accountant.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 24 };

struct table {
    FILE *file;
    char header[512], line[1024];
    char *names[MAX_COLUMNS], *fields[MAX_COLUMNS];
    int columns, rows;
};

/* Cut a line at its commas. */
static int split(char *line, char **fields)
{
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *field; (field = strsep(&line, ",")) != NULL;) {
        ck_assert_int_lt(count, MAX_COLUMNS);
        fields[count++] = field;
    }
    return count;
}

table *table_open(const char *name)
{
    const char *root = getenv("SOTTO_SOURCE_ROOT");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/vectors/accounting/%s", root ? root : ".", name);
    table *t = calloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->file = fopen(path, "r");
    ck_assert_msg(t->file != NULL, "cannot open %s; set SOTTO_SOURCE_ROOT", path);
    ck_assert_ptr_nonnull(fgets(t->header, sizeof t->header, t->file));
    t->columns = split(t->header, t->names);
    return t;
}

bool table_next(table *t, int rows)
{
    if (fgets(t->line, sizeof t->line, t->file)) {
        ck_assert_int_eq(split(t->line, t->fields), t->columns);
        t->rows++;
        return true;
    }
    ck_assert_int_ge(t->rows, rows);
    (void)fclose(t->file);
    free(t);
    return false;
}

const char *table_text(const table *t, const char *column)
{
    for (int i = 0; i < t->columns; i++)
        if (strcmp(t->names[i], column) == 0)
            return t->fields[i];
    ck_abort_msg("no column %s", column);
    return NULL;
}

double table_number(const table *t, const char *column)
{
    const char *text = table_text(t, column);
    return *text ? strtod(text, NULL) : NAN;
}

sotto_mechanism gaussian(double noise_multiplier)
{
    sotto_mechanism mechanism;
    ck_assert_int_eq(sotto_mechanism_gaussian(&mechanism, noise_multiplier, NULL), SOTTO_OK);
    return mechanism;
}

sotto_mechanism sampled(double sample_rate, double noise_multiplier)
{
    sotto_mechanism mechanism;
    ck_assert_int_eq(sotto_mechanism_sampled_gaussian(&mechanism, sample_rate, noise_multiplier, NULL),
                     SOTTO_OK);
    return mechanism;
}

sotto_accountant *composed(sotto_mechanism mechanism, uint64_t count)
{
    sotto_accountant *accountant;
    ck_assert_int_eq(sotto_accountant_create(SOTTO_ACCOUNTANT_RDP, &accountant, NULL), SOTTO_OK);
    ck_assert_int_eq(sotto_accountant_compose(accountant, &mechanism, count, NULL), SOTTO_OK);
    return accountant;
}

void compose_spec(sotto_accountant *accountant, const char *spec)
{
    for (const char *at = spec; *at;) {
        double q, sigma;
        unsigned long long count;
        int used = 0;
        sotto_mechanism mechanism;
        if (sscanf(at, "sgm:%lf:%lf:%llu%n", &q, &sigma, &count, &used) == 3)
            mechanism = sampled(q, sigma);
        else if (sscanf(at, "gauss:%lf:%llu%n", &sigma, &count, &used) == 2)
            mechanism = gaussian(sigma);
        else if (sscanf(at, "laplace:%lf:%llu%n", &sigma, &count, &used) == 2)
            ck_assert_int_eq(sotto_mechanism_laplace(&mechanism, sigma, NULL), SOTTO_OK);
        else
            ck_abort_msg("cannot read %s", at);
        ck_assert_int_eq(sotto_accountant_compose(accountant, &mechanism, count, NULL), SOTTO_OK);
        at += used;
        at += *at == '|';
    }
}

double epsilon_of(const sotto_accountant *accountant, double delta)
{
    double epsilon, order;
    ck_assert_int_eq(sotto_accountant_epsilon(accountant, delta, &epsilon, &order, NULL), SOTTO_OK);
    ck_assert(epsilon >= 0.0 && order >= 1.0);
    return epsilon;
}

double delta_of(const sotto_accountant *accountant, double epsilon)
{
    double delta, order;
    ck_assert_int_eq(sotto_accountant_delta(accountant, epsilon, &delta, &order, NULL), SOTTO_OK);
    ck_assert(delta >= 0.0 && delta <= 1.0 && order >= 1.0);
    return delta;
}

double epsilon_for(sotto_mechanism mechanism, uint64_t count, double delta)
{
    sotto_accountant *accountant = composed(mechanism, count);
    const double epsilon = epsilon_of(accountant, delta);
    sotto_accountant_destroy(accountant);
    return epsilon;
}

double between(uint64_t *state, double low, double high)
{
    *state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return low + (high - low) * ((double)(z >> 11) * 0x1p-53);
}

double power_between(uint64_t *state, double low, double high)
{
    return pow(10.0, between(state, low, high));
}

double excess(double value, double wanted)
{
    return value == wanted ? 0.0 : value / wanted - 1.0;
}

int main(void)
{
    Suite *suite = suite_create("accountant");
    suite_add_tcase(suite, rdp_tests());
    suite_add_tcase(suite, mechanism_tests());
    suite_add_tcase(suite, group_tests());
    suite_add_tcase(suite, selection_tests());
    suite_add_tcase(suite, composition_tests());
    suite_add_tcase(suite, budget_tests());
    suite_add_tcase(suite, journal_tests());
    suite_add_tcase(suite, calibration_tests());
    suite_add_tcase(suite, cover_tests());
    suite_add_tcase(suite, filter_tests());
    suite_add_tcase(suite, hostility_tests());
    suite_add_tcase(suite, pld_tests());
    suite_add_tcase(suite, pld_grid_tests());
    suite_add_tcase(suite, conformance_tests());
    suite_add_tcase(suite, tradeoff_tests());
    return run_suite(suite);
}
