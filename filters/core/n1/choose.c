/* Which model a block gets: the first approach, a reference, or what a search finds. */
#include "choose.h"

#include "refer.h"

/*
 * The first is tried on every block, the others where it suits badly; those for the grid only if
 * some of the block is on it, as they are like others elsewhere.
 */
static const approach APPROACHES[NUM_APPROACHES] = {
    {.predict = 1},
    {.predict = 1, .trim = 1, .for_grid = 1},
    {.predict = 1, .integers = 1, .for_grid = 1},
    {.predict = 1, .integers = 1, .differences = 1},
    {.predict = 1, .integers = 1, .differences = 2},
    {.integers = 1},
    {.predict = 1, .few_values = 1, .for_grid = 1},
    {.few_values = 1, .for_grid = 1},
    {.few_values = 1, .differences = 1},
};

enum {
    SURELY = 16,           /* a reference that seems to save a bit of so many samples */
    WORTH_DECODING = 1024, /* it has to save one part in so many */
    FIRST = 0,
    SAFE = 2, /* of the integer kind, where an escape predicts like any other value */
    DIFFERENCES = 3,
    SEARCH_PART = 4096,  /* samples of a long block on which approaches are compared */
    NUM_SEARCHED = 4,    /* blocks of a kind on which all approaches are, */
    SEARCH_AGAIN = 32,   /* and of the later ones every so many; */
    WORTH_TRYING = 1024, /* on the others those that saved one part in so many */
};

static void swap_models(chooser *c) {
    model *const m = c->best;
    c->best = c->trial;
    c->trial = m;
}

static int is_constant(const int16_t *samples, int n) {
    for (int i = 1; i < n; i++)
        if (samples[i] != samples[0]) return 0;
    return 1;
}

/* Fit another model to all samples of the block, and keep it if it costs less. */
static int try_model(chooser *c, const approach *how, int64_t *least) {
    sample_maps *const maps = &c->whole;
    const int64_t cost = fit_model(c->trial, maps, 0, maps->num_samples, how);
    if (cost >= *least) return 0;
    *least = cost;
    swap_models(c);
    return 1;
}

/* Whether it is time to see again what all approaches do. */
static int is_time_to_search(const experience *e) {
    return e->num_blocks < NUM_SEARCHED || e->num_blocks % SEARCH_AGAIN == 0;
}

/*
 * Compare approaches with the first one, which costs first_cost: on the grid all, and elsewhere
 * those that are known to help, or all now and then. Where there is one map for all of them, and
 * a long block is alike all over, a part of it decides. Keeps what costs less than *least.
 * Returns which approach that is, or FIRST.
 */
static int search(chooser *c, code_map map, int64_t first_cost, int64_t *least) {
    sample_maps *const maps = &c->whole;
    const int n = maps->num_samples, off_grid = is_off_grid(maps);
    experience *const known = &c->with[map];
    const int all = !off_grid || is_time_to_search(known);
    const int64_t before = *least;
    int part = 0, begin = 0, winner = FIRST;
    int64_t least_of_part = 0;
    if (off_grid && n >= 2 * SEARCH_PART && c->best->block.num_classes == 1) {
        begin = (n - SEARCH_PART) / 2;
        if (!is_constant(maps->samples + begin, SEARCH_PART)) {
            least_of_part = fit_model(c->trial, maps, begin, SEARCH_PART, &APPROACHES[FIRST]);
            const int64_t expected = first_cost / n * SEARCH_PART;
            if (least_of_part > expected - expected / 16 && least_of_part < expected + expected / 16)
                part = SEARCH_PART;
        }
    }
    for (int i = 1; i < NUM_APPROACHES; i++) {
        if (off_grid && APPROACHES[i].for_grid) continue;
        if (!all && known->saved[i] <= known->cost / WORTH_TRYING) continue;
        if (part == 0) {
            if (try_model(c, &APPROACHES[i], least)) winner = i;
            continue;
        }
        const int64_t cost = fit_model(c->trial, maps, begin, part, &APPROACHES[i]);
        if (cost >= least_of_part - least_of_part / 256) continue;
        least_of_part = cost;
        winner = i;
    }
    if (part > 0 && winner != FIRST && !try_model(c, &APPROACHES[winner], least)) winner = FIRST;
    known->num_blocks++;
    known->cost += first_cost;
    known->saved[winner] += before - *least;
    return winner;
}

/*
 * What short blocks would take less, about: each packed, or as the long one, or in a way that suits
 * many.
 */
static int64_t gain_of_short_blocks(chooser *c, const sample_maps *maps, int how, int64_t cost) {
    const int candidates[] = {how, FIRST, DIFFERENCES};
    const int n = maps->num_samples, num_blocks = (n + SHORT_BLOCK - 1) / SHORT_BLOCK;
    const int length = (n + num_blocks - 1) / num_blocks;
    int64_t gain = cost + cost / 512; /* in doubt they are tried */
    for (int first = 0; first < n; first += length) {
        const int count = n - first < length ? n - first : length;
        set_samples(&c->piece, c->best->kernels, maps->samples + first, count);
        int64_t least = fit_packed(c->trial, &c->piece);
        const int is_flat = c->trial->block.packed_bits == 0;
        for (int i = 0; i < 3 && !is_flat; i++) {
            if (i > 0 && candidates[i] == how) continue;
            const int64_t other = fit_model(c->trial, &c->piece, 0, count, &APPROACHES[candidates[i]]);
            if (other < least) least = other;
        }
        gain -= least;
    }
    return gain;
}

/*
 * Fit the first approach, with a reference where that costs clearly less; where it surely does,
 * nothing else is fitted. Says whether the block is one that it suits badly without.
 */
static int64_t fit_first(chooser *c, const int16_t *planes, int channel, int n, int *doubtful) {
    sample_maps *const maps = &c->whole;
    begin_model(c->best, maps, 0, n, &APPROACHES[FIRST], NULL);
    int refers = 0, surely = 0;
    if (c->best->level->refers > 0) {
        keep_residuals(c, channel, n);
        refers = find_reference(c, planes, channel, n);
    }
    if (refers) {
        begin_model(c->trial, maps, 0, n, &APPROACHES[FIRST], &c->other);
        const int64_t saved = rough_cost(c->best) - rough_cost(c->trial);
        surely = saved > (int64_t)n * BIT / SURELY && !is_steep(c->best);
    }
    int64_t cost = INT64_MAX;
    if (!surely) {
        cost = finish_model(c->best);
        *doubtful = is_doubtful(c->best, cost);
    }
    if (refers) {
        const int64_t with_other = finish_model(c->trial);
        if (surely || with_other < cost - cost / WORTH_DECODING) {
            swap_models(c);
            cost = with_other;
        }
    }
    if (surely) *doubtful = is_doubtful(c->best, cost);
    return cost;
}

void choose_model(chooser *c, const int16_t *planes, int channel, int n) {
    const int16_t *const samples = planes + (size_t)channel * c->plane_size;
    sample_maps *const maps = &c->whole;
    c->energies[channel] = 0;
    set_samples(maps, c->best->kernels, samples, n);
    if (is_constant(samples, n)) {
        fit_packed(c->best, maps);
        return;
    }
    const int same = c->best->level->refers > 0 ? find_same(c, planes, channel, n) : 0;
    if (same > 0) {
        fit_same(c->best, maps, same);
        return;
    }
    int doubtful;
    const int64_t first_cost = fit_first(c, planes, channel, n, &doubtful);
    int64_t least = first_cost;
    const code_map map = c->best->block.map;
    const int is_grid = map == MAP_ADC;
    const int is_mixed = !is_grid && !is_off_grid(maps);
    const int is_good = !is_mixed && !doubtful;
    const int varies = !is_good && !is_grid && varies_slowly(c->best);
    int winner = FIRST;
    if (!is_good) {
        winner = search(c, map, first_cost, &least);
        if (is_grid) c->num_uncertain++;
    }
    if (varies && n >= 2 * SHORT_BLOCK) c->gain += gain_of_short_blocks(c, maps, winner, least);
    if (!is_good && fit_packed(c->trial, maps) < least) swap_models(c);
}

void choose_safe_model(chooser *c) {
    sample_maps *const maps = &c->whole;
    if (c->best->block.kind == KIND_PACKED) return;
    const int n = maps->num_samples;
    if (fit_packed(c->best, maps) > fit_model(c->trial, maps, 0, n, &APPROACHES[SAFE])) swap_models(c);
}
