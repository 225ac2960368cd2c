/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * Writes clinic.csv: 5,000 SIMULATED hospital visits, for trying sotto out. No row is about any person.
 *
 * The true distribution is the code below and the table in README.md. The file comes out the same byte for
 * byte on every machine with IEEE 754 doubles: the generator is integer arithmetic, and where the
 * mathematical library would differ in the last digit its functions are replaced by sums and products.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 5000 };

/* ---------------------------------------------------------------- randomness */

static uint64_t state = 20240229;

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). For simulation, never for privacy. */
static uint64_t next(void)
{
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Uniform in [0, 1), a multiple of 2^-32: sums of a few are exact. */
static double uniform(void)
{
    return (double)(next() >> 32) / 4294967296.0;
}

static bool chance(double probability)
{
    return uniform() < probability;
}

/* Nearly normal, mean 0 and variance 1: twelve uniforms less six. */
static double normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum;
}

/* e^x for |x| < 20: the series at x / 1024, squared ten times. */
static double exponential(double x)
{
    double small = x / 1024, term = 1, sum = 1;
    for (int k = 1; k < 8; k++) {
        term *= small / k;
        sum += term;
    }
    for (int i = 0; i < 10; i++)
        sum *= sum;
    return sum;
}

/* Which of `count` weights a uniform draw falls into. */
static size_t choose(const double *weights, size_t count)
{
    double total = 0, at;
    for (size_t i = 0; i < count; i++)
        total += weights[i];
    at = uniform() * total;
    for (size_t i = 0; i + 1 < count; i++) {
        if (at < weights[i])
            return i;
        at -= weights[i];
    }
    return count - 1;
}

/* ----------------------------------------------------------------- one visit */

enum { NEVER, FORMER, CURRENT };
enum { CARDIAC, DIABETES, INFECTION, INJURY, OTHER, RESPIRATORY, DIAGNOSES };
enum { NO_INSURANCE, PRIVATE, PUBLIC };

static const char *const regions[] = {"north", "east", "south", "west"};
static const char *const insurances[] = {"none", "private", "public"};
static const char *const smoking[] = {"never", "former", "current"};
static const char *const diagnoses[] = {"cardiac", "diabetes", "infection", "injury", "other", "respiratory"};

typedef struct visit {
    int age, systolic, visits, year, month, day;
    size_t region, insurance, smoker, diagnosis;
    bool female, insurance_known, bmi_known, readmitted;
    long bmi_tenths, cost_cents;
} visit;

/* A normal draw, rounded, drawn again until it lies in [low, high]. */
static long rounded(double mean, double deviation, long low, long high)
{
    for (;;) {
        double value = mean + deviation * normal();
        long whole = (long)(value + (value < 0 ? -0.5 : 0.5));
        if (whole >= low && whole <= high)
            return whole;
    }
}

static void draw_person(visit *v)
{
    static const double region_weights[] = {0.3, 0.25, 0.25, 0.2};
    v->age = (int)rounded(55, 19, 18, 95);
    v->female = chance(0.54);
    v->region = choose(region_weights, 4);
    double insurance[] = {0.12, 0.58, 0.30}, elderly[] = {0.02, 0.13, 0.85};
    v->insurance = choose(v->age >= 65 ? elderly : insurance, 3);
    v->insurance_known = !chance(0.04);
    double habits[] = {0.50, 0.15 + 0.003 * v->age, v->female ? 0.18 : 0.26};
    v->smoker = choose(habits, 3);
}

static void draw_illness(visit *v)
{
    double weights[DIAGNOSES] = {[CARDIAC] = 0.004 * v->age,
                                 [DIABETES] = 0.05 + 0.0015 * v->age,
                                 [INFECTION] = 0.16,
                                 [INJURY] = v->age < 40 ? 0.40 : 0.15,
                                 [OTHER] = 0.20,
                                 [RESPIRATORY] = v->smoker == CURRENT ? 0.30 : 0.10};
    v->diagnosis = choose(weights, DIAGNOSES);
    v->bmi_tenths = rounded(265 + (v->diagnosis == DIABETES ? 35 : 0), 45, 140, 600);
    v->bmi_known = !chance(0.06);
    v->systolic = (int)rounded(100 + 0.4 * v->age + 0.06 * (double)(v->bmi_tenths - 265), 12, 80, 220);
    v->visits = 0;
    if (!chance(0.75 - 0.005 * v->age))
        for (v->visits = 1; v->visits < 30 && chance(0.5); v->visits++)
            ;
}

static void draw_day(visit *v)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int day = (int)(next() % 2192); /* 2019-01-01 to 2024-12-31; the remainder's bias is below 1e-15 */
    v->year = 2019;
    for (int length; day >= (length = v->year % 4 == 0 ? 366 : 365); v->year++)
        day -= length;
    v->month = 1;
    for (int length; day >= (length = lengths[v->month - 1] + (v->month == 2 && v->year % 4 == 0));
         v->month++)
        day -= length;
    v->day = day + 1;
}

static void draw_outcome(visit *v)
{
    bool unpaid = chance(v->insurance == PUBLIC ? 0.20 : 0.08);
    double log_cost = 6.5 + (v->diagnosis == CARDIAC ? 0.9 : 0) + 0.15 * v->visits + 0.85 * normal();
    double cost = exponential(log_cost < 11.5 ? log_cost : 11.5);
    v->cost_cents = unpaid ? 0 : 100 + (long)(cost * 100 + 0.5);
    if (v->cost_cents > 9999999)
        v->cost_cents = 9999999;
    double risk = -3.2 + 0.03 * (v->age - 55) + 0.5 * v->visits + 0.9 * (v->smoker == CURRENT) +
                  1.4 * (v->diagnosis == CARDIAC) + 0.8 * (v->diagnosis == RESPIRATORY) +
                  0.025 * (v->systolic - 122) + 0.9 * (v->insurance == NO_INSURANCE);
    v->readmitted = chance(1 / (1 + exponential(-risk)));
}

/* --------------------------------------------------------------------- output */

static void print_visit(int number, const visit *v)
{
    printf("P%05d,%d,%s,%s,%s,%s,", number, v->age, v->female ? "female" : "male", regions[v->region],
           v->insurance_known ? insurances[v->insurance] : "", smoking[v->smoker]);
    printf("%04d-%02d-%02d,%s,", v->year, v->month, v->day, diagnoses[v->diagnosis]);
    if (v->bmi_known)
        printf("%ld.%ld", v->bmi_tenths / 10, v->bmi_tenths % 10);
    printf(",%d,%d,%ld.%02ld,%s\n", v->systolic, v->visits, v->cost_cents / 100, v->cost_cents % 100,
           v->readmitted ? "yes" : "no");
}

int main(void)
{
    puts("patient_id,age,sex,region,insurance,smoker,visit,diagnosis,bmi,systolic,visits_last_year,cost,"
         "readmitted");
    for (int i = 1; i <= ROWS; i++) {
        visit v;
        draw_person(&v);
        draw_illness(&v);
        draw_day(&v);
        draw_outcome(&v);
        print_visit(i, &v);
    }
    return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
