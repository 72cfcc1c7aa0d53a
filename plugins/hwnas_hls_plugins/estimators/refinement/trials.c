/* Exact trials of single changes to a network: what the loss over all rows would become.
 *
 * All sums, values and losses are integers, so that nothing depends on an order of summation, a compiler
 * or a number of threads; arithmetic.py does the same in numpy. Matrices are features x rows.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Roundings and overflows by number, as arithmetic.py has them. */
enum { HAND_ON = -1, TRN, TRN_ZERO, RND, RND_ZERO, RND_INF, RND_MIN_INF, RND_CONV };
enum { NO_LIMIT = -1, WRAP, SATURATE, ZERO };
/* Kinds of change. */
enum { WEIGHT, BIAS, SILENCE, FEATURE, NEURON };
/* Fractional bits of a loss. */
enum { LOSS_BITS = 24 };

/* One layer; must be as native.py has it. */
typedef struct {
    int64_t merge; /* 0: dense; 1: sum of two; 2: one after the other */
    int64_t n_in, n_out;
    int64_t source, other;       /* whose values it takes; -1 the inputs, -2 nobody */
    int64_t shift, other_shift;  /* to the left: from the products' grid to that of the sums */
    int64_t rectified;           /* 0: linear; 1: relu; 2: leaky, sums shifted by `leak` */
    int64_t leak;
    int64_t sum_overflow, sum_low, sum_high;
    int64_t rounding, result_shift; /* bits dropped */
    int64_t overflow, low, high;
    int32_t *weight;             /* (n_in, n_out) */
    int32_t *bias;               /* (n_out,) on the sums' grid */
    int64_t bias_low, bias_high; /* of it */
    int32_t *sums, *values;      /* (n_out, rows) */
    int32_t *new_sums, *new_values, *differences; /* the same room, for a trial */
    uint8_t *changed;            /* (n_out,) */
    uint8_t *low_bits, *high_bits; /* (n_out,): bits of the result that a neuron's own type lacks */
} Layer;

typedef struct {
    Layer *layers;               /* number -1 stands for the inputs: its values are in `inputs` */
    int64_t count, rows, n_in;
    int32_t *inputs;             /* (n_in, rows) */
    const int32_t *alternatives; /* (2, n_in, rows): inputs of fewer bits; null where no feature may change */
    int64_t *versions;           /* (n_in,): how often each feature has changed */
    int64_t classes;             /* 0: squared error */
    const int32_t *labels;       /* (rows,) classes; or (n_out, rows) targets on the outputs' grid */
    int64_t *losses;             /* (rows,) of the network as it is */
    int32_t *places;             /* (rows,) room */
    int32_t *largest, *total;    /* (rows,) room */
    const int32_t *exponentials; /* of -temperature x (k << exponential_shift), LOSS_BITS */
    int64_t exponential_count, exponential_shift;
    const int32_t *logarithms;   /* of 1 + k / 4096, LOSS_BITS; 4097 of them */
    int64_t log_two;
    int64_t temperature;         /* what a least significant bit counts, LOSS_BITS + 16 */
    int64_t smoothing;           /* of it, the share of each class, own or not */
    int64_t square_shift;        /* to the right: from the squares' grid to LOSS_BITS */
} Network;

/* Moves, one entry each.
 *
 * WEIGHT: `input` to `output` becomes `value`; BIAS: nothing but the offset; SILENCE: nobody takes `output` any
 * more; FEATURE: `input` of the network becomes its alternative number `value`, or 0 (`value` 2); NEURON:
 * the result of `output` loses its lowest (`value` 0) or its highest bit (`value` 1).
 * `offset` is what the bias gains, on the sums' grid. */
typedef struct {
    const int64_t *kind, *layer, *input, *output, *value, *offset, *saving;
    const int64_t *old; /* the weight, the bias, the feature's version, or the bits a neuron lacks, when it was made */
    int64_t *rise;      /* last one seen, in loss over all rows */
    uint8_t *taken;
} Moves;

static inline int32_t limited(int64_t overflow, int64_t low, int64_t high, int32_t v) {
    if (overflow == NO_LIMIT || (v >= low && v <= high)) return v;
    if (overflow == SATURATE) return (int32_t)(v < low ? low : high);
    if (overflow == ZERO) return 0;
    return (int32_t)((((int64_t)v - low) & (high - low)) + low);
}

static inline int32_t rounded(int64_t mode, int64_t shift, int32_t v) {
    if (shift <= 0) return v << -shift;
    const int32_t floor = v >> shift, half = 1 << (shift - 1);
    const int32_t rest = v - (floor << shift);
    switch (mode) {
        case TRN: return floor;
        case TRN_ZERO: return floor + (v < 0 && rest != 0);
        case RND: return floor + (rest >= half);
        case RND_MIN_INF: return floor + (rest > half);
        case RND_INF: return floor + (rest > half || (rest == half && v >= 0));
        case RND_ZERO: return floor + (rest > half || (rest == half && v < 0));
        default: return floor + (rest > half || (rest == half && (floor & 1)));
    }
}

/* Sums -> values of neuron k, n of them. */
static void activate(const Layer *layer, int64_t k, const int32_t *restrict sums, int32_t *restrict values,
                     int64_t n) {
    const int32_t low_bits = layer->low_bits[k], lacks = low_bits + layer->high_bits[k];
    const int64_t shift = layer->result_shift + low_bits, high = layer->high >> lacks;
    const int64_t low = layer->low == -layer->high ? -high : layer->low >> lacks;
    const int usual = layer->rectified < 2 && layer->sum_overflow == NO_LIMIT;
    if (usual && layer->rounding == HAND_ON) {
        const int32_t floor = layer->rectified ? 0 : INT32_MIN;
        for (int64_t r = 0; r < n; r++) values[r] = sums[r] > floor ? sums[r] : floor;
        return;
    }
    if (usual && (layer->rounding == TRN || layer->rounding == RND) && layer->overflow <= SATURATE &&
        layer->result_shift >= 0 && layer->overflow != NO_LIMIT) {
        const int32_t floor = layer->rectified ? 0 : INT32_MIN, drop = (int32_t)shift;
        const int32_t half = layer->rounding == RND && drop > 0 ? 1 << (drop - 1) : 0;
        const int32_t least = (int32_t)low, most = (int32_t)high, mask = most - least;
        if (layer->overflow == SATURATE)
            for (int64_t r = 0; r < n; r++) {
                int32_t v = sums[r] > floor ? sums[r] : floor;
                v = (v + half) >> drop;
                v = v < least ? least : v;
                values[r] = (v > most ? most : v) << low_bits;
            }
        else
            for (int64_t r = 0; r < n; r++) {
                const int32_t v = sums[r] > floor ? sums[r] : floor;
                values[r] = (((((v + half) >> drop) - least) & mask) + least) << low_bits;
            }
        return;
    }
    for (int64_t r = 0; r < n; r++) {
        int32_t v = limited(layer->sum_overflow, layer->sum_low, layer->sum_high, sums[r]);
        if (layer->rectified == 1 && v < 0) v = 0;
        if (layer->rectified == 2 && v > 0) v <<= layer->leak;
        if (layer->rounding != HAND_ON)
            v = limited(layer->overflow, low, high, rounded(layer->rounding, shift, v)) << low_bits;
        values[r] = v;
    }
}

/* (1 + S) as a multiple of 2**LOSS_BITS -> its logarithm. */
static inline int64_t logarithm(const Network *net, uint32_t total) {
    const int high = 31 - __builtin_clz(total);
    const uint32_t mantissa = total << (31 - high);
    const int64_t place = (mantissa >> 19) & 4095, rest = mantissa & 0x7ffff;
    const int64_t from = net->logarithms[place];
    return from + (((net->logarithms[place + 1] - from) * rest) >> 19) + (high - LOSS_BITS) * net->log_two;
}

/* Losses of n rows from outputs whose rows lie `apart`; `which` names the rows, or is null for 0, 1, ... */
static void losses_of(const Network *net, const int32_t *outputs, int64_t apart, const int32_t *which, int64_t n,
                      int64_t *out) {
    const Layer *last = net->layers + net->count - 1;
    if (!net->classes) {
        for (int64_t r = 0; r < n; r++) out[r] = 0;
        for (int64_t k = 0; k < last->n_out; k++)
            for (int64_t r = 0; r < n; r++) {
                const int64_t row = which ? which[r] : r;
                int64_t off = (int64_t)outputs[k * apart + r] - net->labels[k * net->rows + row];
                off = off > (1 << 27) ? 1 << 27 : off < -(1 << 27) ? -(1 << 27) : off;
                const int64_t square = off * off;
                out[r] += net->square_shift >= 0 ? square >> net->square_shift : square << -net->square_shift;
            }
        return;
    }
    int32_t *restrict largest = net->largest, *restrict total = net->total;
    memcpy(largest, outputs, (size_t)n * sizeof *largest);
    for (int64_t k = 1; k < net->classes; k++) {
        const int32_t *restrict one = outputs + k * apart;
        for (int64_t r = 0; r < n; r++) largest[r] = one[r] > largest[r] ? one[r] : largest[r];
    }
    memset(total, 0, (size_t)n * sizeof *total);
    for (int64_t r = 0; r < n; r++) out[r] = 0;
    const int32_t beyond = (int32_t)net->exponential_count - 1;
    for (int64_t k = 0; k < net->classes; k++) {
        const int32_t *restrict one = outputs + k * apart;
        const int32_t *restrict table = net->exponentials;
        for (int64_t r = 0; r < n; r++) {
            const int32_t off = largest[r] - one[r];
            int32_t below = off >> net->exponential_shift;
            below = below > beyond ? beyond : below;
            total[r] += table[below];
            out[r] += off;
        }
    }
    for (int64_t r = 0; r < n; r++) {
        const int64_t row = which ? which[r] : r;
        const int64_t lacks = (int64_t)largest[r] - outputs[net->labels[row] * apart + r];
        const int64_t lost = lacks * net->temperature + out[r] * net->smoothing;
        out[r] = (lost >> 16) + logarithm(net, (uint32_t)total[r]);
    }
}

static const int32_t *values_of(const Network *net, int64_t layer) {
    return layer < 0 ? net->inputs : net->layers[layer].values;
}

/* Everything anew from the weights; `sums` hold the biases' part already. Gives the loss over all rows. */
int64_t settle(Network *net) {
    const int64_t rows = net->rows;
    for (int64_t m = 0; m < net->count; m++) {
        Layer *layer = net->layers + m;
        const int32_t *from = values_of(net, layer->source);
        if (layer->merge == 0)
            for (int64_t k = 0; k < layer->n_out; k++)
                for (int64_t i = 0; i < layer->n_in; i++) {
                    const int32_t weight = layer->weight[i * layer->n_out + k] << layer->shift;
                    if (weight)
                        for (int64_t r = 0; r < rows; r++) layer->sums[k * rows + r] += weight * from[i * rows + r];
                }
        else {
            const int32_t *second = values_of(net, layer->other);
            const int64_t split = layer->merge == 1 ? layer->n_out : layer->n_in;
            for (int64_t k = 0; k < layer->n_out; k++)
                for (int64_t r = 0; r < rows; r++) {
                    int32_t v = 0;
                    if (k < split) v += from[k * rows + r] << layer->shift;
                    if (layer->merge == 1) v += second[k * rows + r] << layer->other_shift;
                    if (k >= split) v += second[(k - split) * rows + r] << layer->other_shift;
                    layer->sums[k * rows + r] = v;
                }
        }
        for (int64_t k = 0; k < layer->n_out; k++)
            activate(layer, k, layer->sums + k * rows, layer->values + k * rows, rows);
        memset(layer->changed, 0, (size_t)layer->n_out);
    }
    losses_of(net, net->layers[net->count - 1].values, rows, 0, rows, net->losses);
    int64_t loss = 0;
    for (int64_t r = 0; r < rows; r++) loss += net->losses[r];
    return loss;
}

/* One changed value of a layer's source reaches a sum. */
static void spread(const Network *net, Layer *layer, int64_t k, const int32_t *restrict difference, int32_t weight,
                   int64_t n) {
    int32_t *restrict sums = layer->new_sums + k * net->rows;
    if (!layer->changed[k]) {
        const int32_t *restrict old = layer->sums + k * net->rows;
        for (int64_t r = 0; r < n; r++) sums[r] = old[net->places[r]] + weight * difference[r];
        layer->changed[k] = 1;
    } else
        for (int64_t r = 0; r < n; r++) sums[r] += weight * difference[r];
}

/* New values from new sums, and what changed; false where nothing did. */
static int differs(const Network *net, Layer *layer, int64_t k, int64_t n) {
    const int32_t *restrict old = layer->values + k * net->rows;
    int32_t *restrict fresh = layer->new_values + k * net->rows, *restrict off = layer->differences + k * net->rows;
    activate(layer, k, layer->new_sums + k * net->rows, fresh, n);
    int32_t any = 0;
    for (int64_t r = 0; r < n; r++) {
        off[r] = fresh[r] - old[net->places[r]];
        any |= off[r];
    }
    return any != 0;
}

typedef struct {
    int64_t kind, layer, input, output, value, offset;
} Move;

static int64_t reach(Network *net, int64_t at, int64_t count, int keep);

/* A feature takes other values in rows `from` to `to`; gives in how many it changes. */
static int64_t feature(Network *net, Move move, int64_t from, int64_t to, int keep) {
    Layer *inputs = net->layers - 1;
    int32_t *x = net->inputs + move.input * net->rows, *difference = inputs->differences + move.input * net->rows;
    const int32_t *fresh =
        move.value < 2 ? net->alternatives + (move.value * net->n_in + move.input) * net->rows : 0;
    int64_t count = 0;
    for (int64_t r = from; r < to; r++) {
        const int32_t off = (fresh ? fresh[r] : 0) - x[r];
        net->places[count] = (int32_t)r;
        difference[count] = off;
        count += off != 0;
    }
    if (keep) {
        for (int64_t r = 0; r < count; r++) x[net->places[r]] += difference[r];
        net->versions[move.input]++;
    }
    inputs->changed[move.input] = count != 0;
    return count;
}

/* The rise of the loss over rows `from` to `to`; with `keep` the change is made. */
static int64_t walk(Network *net, Move move, int64_t from, int64_t to, int keep) {
    const int64_t rows = net->rows, at = move.layer, input = move.input, output = move.output;
    const int32_t value = (int32_t)move.value, offset = (int32_t)move.offset;
    Layer *first = net->layers + at;
    int32_t *sums = first->new_sums + output * rows, *values = first->new_values + output * rows;
    const int32_t *old_sums = first->sums + output * rows, *old = first->values + output * rows;
    int64_t n = to - from;
    if (move.kind == FEATURE) {
        const int64_t moved = feature(net, move, from, to, keep);
        return moved ? reach(net, at, moved, keep) : 0;
    }
    int32_t *x_weight = move.kind == WEIGHT ? first->weight + input * first->n_out + output : 0;
    if (move.kind == WEIGHT) {
        const int32_t step = (value - *x_weight) << first->shift;
        const int32_t *x = values_of(net, first->source) + input * rows + from;
        for (int64_t r = 0; r < n; r++) sums[r] = old_sums[from + r] + step * x[r] + offset;
    } else
        for (int64_t r = 0; r < n; r++) sums[r] = old_sums[from + r] + offset;
    uint8_t *bits = move.kind == NEURON ? (move.value ? first->high_bits : first->low_bits) + output : 0;
    if (bits) (*bits)++;
    if (move.kind == SILENCE)
        memset(values, 0, (size_t)n * sizeof *values);
    else
        activate(first, output, sums, values, n);
    if (bits && !keep) (*bits)--;
    if (keep) { /* rows are 0, 1, ... here */
        memcpy(first->sums + output * rows, sums, (size_t)n * sizeof *sums);
        if (first->bias) first->bias[output] += offset;
        if (x_weight) *x_weight = value;
    }
    /* Only rows that change go on. */
    int64_t count = 0;
    int32_t *difference = first->differences + output * rows, *places = net->places;
    for (int64_t r = 0; r < n; r++) {
        const int32_t off = values[r] - old[from + r];
        places[count] = (int32_t)(from + r);
        difference[count] = off;
        count += off != 0;
    }
    if (!count) return 0;
    if (at == net->count - 1) /* outputs have to lie as other layers leave them */
        for (int64_t k = 0; k < first->n_out; k++)
            for (int64_t r = 0; r < count; r++)
                first->new_values[k * rows + r] =
                    first->values[k * rows + places[r]] + (k == output ? difference[r] : 0);
    if (keep)
        for (int64_t r = 0; r < count; r++) first->values[output * rows + places[r]] += difference[r];
    first->changed[output] = 1;
    return reach(net, at, count, keep);
}

/* What changed in layer `at`, in `count` rows, reaches the outputs: the rise of the loss. */
static int64_t reach(Network *net, int64_t at, int64_t count, int keep) {
    const int64_t rows = net->rows;
    const int32_t *places = net->places;
    for (int64_t m = at + 1; m < net->count; m++) {
        Layer *layer = net->layers + m;
        int touched = 0;
        for (int side = 0; side < 2; side++) {
            const int64_t source = side ? layer->other : layer->source;
            if (source < at) continue;
            const Layer *before = net->layers + source;
            const int64_t shift = side ? layer->other_shift : layer->shift;
            for (int64_t i = 0; i < before->n_out; i++) {
                if (!before->changed[i]) continue;
                const int32_t *off = before->differences + i * rows;
                if (layer->merge == 0)
                    for (int64_t k = 0; k < layer->n_out; k++) {
                        const int32_t weight = layer->weight[i * layer->n_out + k] << shift;
                        if (weight) spread(net, layer, k, off, weight, count), touched = 1;
                    }
                else {
                    const int64_t k = layer->merge == 2 && side ? layer->n_in + i : i;
                    spread(net, layer, k, off, 1 << shift, count), touched = 1;
                }
            }
        }
        const int last = m == net->count - 1;
        for (int64_t k = 0; touched && k < layer->n_out; k++) {
            if (!layer->changed[k]) continue;
            int32_t *fresh = layer->new_sums + k * rows;
            if (!differs(net, layer, k, count)) layer->changed[k] = 0;
            if (keep) {
                const int32_t *new_values = layer->new_values + k * rows;
                for (int64_t r = 0; r < count; r++) layer->sums[k * rows + places[r]] = fresh[r];
                for (int64_t r = 0; r < count; r++) layer->values[k * rows + places[r]] = new_values[r];
            }
        }
        if (last && touched)
            for (int64_t k = 0; k < layer->n_out; k++)
                if (!layer->changed[k])
                    for (int64_t r = 0; r < count; r++)
                        layer->new_values[k * rows + r] = layer->values[k * rows + places[r]];
    }
    int any = 0;
    const Layer *last = net->layers + net->count - 1;
    for (int64_t k = 0; k < last->n_out; k++) any |= last->changed[k];
    int64_t rise = 0;
    if (any) {
        /* Blocks, so that the room for fresh losses is small. */
        int64_t fresh[512];
        for (int64_t start = 0; start < count; start += 512) {
            const int64_t size = count - start < 512 ? count - start : 512;
            losses_of(net, last->new_values + start, rows, places + start, size, fresh);
            for (int64_t r = 0; r < size; r++) {
                rise += fresh[r] - net->losses[places[start + r]];
                if (keep) net->losses[places[start + r]] = fresh[r];
            }
        }
    }
    for (int64_t m = at; m < net->count; m++) memset(net->layers[m].changed, 0, (size_t)net->layers[m].n_out);
    return rise;
}

/* Nobody takes a neuron's value any more, which is 0 by now. */
static void cut(Network *net, int64_t at, int64_t output) {
    for (int64_t m = at + 1; m < net->count; m++) {
        Layer *layer = net->layers + m;
        if (layer->source == at && !layer->merge)
            memset(layer->weight + output * layer->n_out, 0, (size_t)layer->n_out * sizeof *layer->weight);
    }
}

/* Tries moves in the order given and, with `make`, makes those whose loss rises by less than rate x saving.
 *
 * first: rows before the first look; they double until the next. A move is put down without the other rows, its
 * rise scaled up, if the scaled rise is beyond `patience` times what is allowed, times the square root of all
 * rows over those seen: few rows are a noisy sample. Without `make`, a move is measured on `upto` rows at most.
 * Gives how many were made.
 */
int64_t sweep(Network *net, Moves *moves, const int64_t *order, int64_t count, double rate, double patience,
              int64_t first, int64_t upto, int64_t make) {
    int64_t made = 0;
    const int64_t rows = net->rows, last = make || upto > rows ? rows : upto;
    for (int64_t place = 0; place < count; place++) {
        const int64_t at = order[place];
        const Move move = {moves->kind[at], moves->layer[at], moves->input[at], moves->output[at], moves->value[at],
                           moves->offset[at]};
        const Layer *layer = net->layers + move.layer;
        if (move.kind == WEIGHT && layer->weight[move.input * layer->n_out + move.output] != moves->old[at]) continue;
        if (move.kind == BIAS && layer->bias[move.output] != moves->old[at]) continue;
        if (move.kind == FEATURE && net->versions[move.input] != moves->old[at]) continue;
        if (move.kind == NEURON &&
            layer->low_bits[move.output] * 256 + layer->high_bits[move.output] != moves->old[at])
            continue;
        if (move.offset) {
            const int64_t bias = layer->bias[move.output] + move.offset;
            if (bias < layer->bias_low || bias > layer->bias_high) continue;
        }
        const double allowed = rate * (double)moves->saving[at];
        const double most = patience * fabs(allowed);
        int64_t rise = 0, done = 0;
        while (done < last && !(done && (double)rise > most * sqrt((double)done / (double)rows))) {
            const int64_t more = done > first ? done : first;
            const int64_t to = last - done > more ? done + more : last;
            rise += walk(net, move, done, to, 0);
            done = to;
        }
        moves->rise[at] = done < rows ? rise / done * rows : rise;
        if (done < rows) continue;
        if (!make || !((double)rise < allowed)) continue;
        walk(net, move, 0, rows, 1);
        if (move.kind == SILENCE) cut(net, move.layer, move.output);
        moves->taken[at] = 1;
        made++;
    }
    return made;
}
