/* One training step of many small networks: products, bounds, rounding, normalisation, Adam.
 *
 * The same arithmetic as network.py, with every network's numbers kept in the processor's caches from
 * one operation to the next. Matrices are features x batch rows, in single precision, and a number of
 * batch rows is a multiple of 8. What a network computes depends on nothing but itself.
 */
#include <math.h>
#include <stdint.h>

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t flags __attribute__((vector_size(32), aligned(4), may_alias));

#define WIDTH 8
#define INLINE static inline __attribute__((always_inline))
/* Batch columns of one panel, and rows of a tile: accumulators fill the sixteen vector registers. */
#define PANEL 16
#define TILE 6
/* Batch rows that stay in the cache while gradients of weights are summed. */
#define STRIP 512
/* Vectors of batch columns, and weights, that a product with few weights computes at once. */
#define SPAN 8

/* One layer of one network; must be as native.py has it. */
typedef struct {
    int64_t rows;       /* of its matrix of weights, the constant's row included */
    int64_t cols;       /* of it, the biases' column included */
    int64_t n_out;      /* rows without the constant's */
    int64_t weights;    /* its place among the weights */
    int64_t features;   /* its first row in the level */
    int64_t source;     /* first row of its inputs in the level before; of a first layer: which input copy */
    int64_t first;      /* whether it reads the inputs */
    /* Null if all weights are stored, else the weights that are, row by row with the bias last: places of
     * each row's first weight and of the end, and the column of each weight. Then the same by columns,
     * without the biases': first place of each column, and the row and the place of each weight. */
    const int64_t *starts, *columns, *column_starts, *column_rows, *column_places;
} Layer;

/* Everything of one depth; pointers of `active` and below are null where nothing is normalised. */
typedef struct {
    const Layer *layers;
    int64_t count;
    int64_t bounded;
    float *sums, *values, *gradient; /* features x batch rows */
    const float *low, *high;         /* one a feature, as the rest */
    const float *active, *scale, *unit, *bias_unit, *reach, *gain, *shift;
    float *running; /* mean and deviation */
    float *gain_gradient, *shift_gradient;
} Level;

/* The trained numbers of all networks, weights first; those up to `weights` are one a weight. */
typedef struct {
    int64_t n_weights, n_trained;
    int64_t most_digits; /* of the weights whose digits are limited; 0 where none are */
    const float *unit, *low, *high, *offset, *kept_factor;
    const float *digits; /* most signed digits that a weight may have */
    float *integers, *weights;
    float *latent, *mean, *square, *gradient;
    const float *floor, *ceiling;
} Trained;

INLINE lanes load(const float *at) { return *(const lanes *)at; }
INLINE void store(float *at, lanes value) { *(lanes *)at = value; }
INLINE lanes all(float value) { return value - (lanes){0}; }
INLINE lanes pick(flags which, lanes yes, lanes no) { return (lanes)((which & (flags)yes) | (~which & (flags)no)); }
/* Keeps a vector in a register: compilers would rather load it again for every product. */
INLINE lanes held(lanes v) {
#if defined(__x86_64__) && defined(__AVX__)
    __asm__("" : "+x"(v));
#endif
    return v;
}
INLINE float total(lanes v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

/* out[o][i] = sum over k of w[o * by_out + k * by_in] * x[k][i], for R outputs and V vectors of columns. */
INLINE void tile(const int R, const int V, const float *w, int64_t by_out, int64_t by_in, int64_t n_in,
                 const float *x, int64_t ldx, float *out, int64_t ldo) {
    lanes sum[TILE][2];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) sum[r][v] = all(0.0f);
    for (int64_t k = 0; k < n_in; k++) {
        lanes column[2];
        for (int v = 0; v < V; v++) column[v] = load(x + k * ldx + v * WIDTH);
        for (int r = 0; r < R; r++) {
            const float weight = w[r * by_out + k * by_in];
            for (int v = 0; v < V; v++) sum[r][v] += weight * column[v];
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) store(out + r * ldo + v * WIDTH, sum[r][v]);
}

INLINE void tiles(const int V, const float *w, int64_t by_out, int64_t by_in, int64_t n_out, int64_t n_in,
                  const float *x, int64_t ldx, float *out, int64_t ldo) {
    int64_t o = 0;
    for (; o + TILE <= n_out; o += TILE)
        tile(TILE, V, w + o * by_out, by_out, by_in, n_in, x, ldx, out + o * ldo, ldo);
    const float *rest = w + o * by_out;
    float *sink = out + o * ldo;
    switch (n_out - o) {
        case 5: tile(5, V, rest, by_out, by_in, n_in, x, ldx, sink, ldo); break;
        case 4: tile(4, V, rest, by_out, by_in, n_in, x, ldx, sink, ldo); break;
        case 3: tile(3, V, rest, by_out, by_in, n_in, x, ldx, sink, ldo); break;
        case 2: tile(2, V, rest, by_out, by_in, n_in, x, ldx, sink, ldo); break;
        case 1: tile(1, V, rest, by_out, by_in, n_in, x, ldx, sink, ldo); break;
        default: break;
    }
}

/* Matrix product for all batch rows; panel has room for n_in x PANEL numbers. */
static void multiply(const float *w, int64_t by_out, int64_t by_in, int64_t n_out, int64_t n_in,
                     const float *x, int64_t ldx, float *out, int64_t rows, float *panel) {
    int64_t i = 0;
    for (; i + PANEL <= rows; i += PANEL) {
        const float *from = x + i;
        int64_t ld = ldx;
        if (n_out > TILE) { /* rows a power of two apart would share a few cache sets */
            for (int64_t k = 0; k < n_in; k++)
                for (int v = 0; v < PANEL; v += WIDTH) store(panel + k * PANEL + v, load(x + k * ldx + i + v));
            from = panel;
            ld = PANEL;
        }
        tiles(2, w, by_out, by_in, n_out, n_in, from, ld, out + i, rows);
    }
    for (; i < rows; i += WIDTH) tiles(1, w, by_out, by_in, n_out, n_in, x + i, ldx, out + i, rows);
}

/* out[a][b] (+)= sum over i of g[a][i] * x[b][i], for A x B of them. */
INLINE void dots(const int A, const int B, const float *g, int64_t ldg, const float *x, int64_t ldx,
                 int64_t rows, float *out, int64_t ldo, int add) {
    lanes sum[3][4];
    for (int a = 0; a < A; a++)
        for (int b = 0; b < B; b++) sum[a][b] = all(0.0f);
    for (int64_t i = 0; i < rows; i += WIDTH) {
        lanes slope[3];
        for (int a = 0; a < A; a++) slope[a] = held(load(g + a * ldg + i));
        for (int b = 0; b < B; b++) {
            const lanes value = held(load(x + b * ldx + i));
            for (int a = 0; a < A; a++) sum[a][b] += slope[a] * value;
        }
    }
    if (add)
        for (int a = 0; a < A; a++)
            for (int b = 0; b < B; b++) out[a * ldo + b] += total(sum[a][b]);
    else
        for (int a = 0; a < A; a++)
            for (int b = 0; b < B; b++) out[a * ldo + b] = total(sum[a][b]);
}

INLINE void dot_rows(const int A, const float *g, int64_t ldg, const float *x, int64_t ldx, int64_t n_in,
                     int64_t rows, float *out, int64_t ldo, int add) {
    int64_t b = 0;
    for (; b + 4 <= n_in; b += 4) dots(A, 4, g, ldg, x + b * ldx, ldx, rows, out + b, ldo, add);
    const float *rest = x + b * ldx;
    switch (n_in - b) {
        case 3: dots(A, 3, g, ldg, rest, ldx, rows, out + b, ldo, add); break;
        case 2: dots(A, 2, g, ldg, rest, ldx, rows, out + b, ldo, add); break;
        case 1: dots(A, 1, g, ldg, rest, ldx, rows, out + b, ldo, add); break;
        default: break;
    }
}

/* Gradient of the weights: out (n_out x n_in, ldo apart) = g times the transpose of x. */
static void outer(const float *g, int64_t ldg, int64_t n_out, const float *x, int64_t ldx, int64_t n_in,
                  int64_t rows, float *out, int64_t ldo) {
    for (int64_t i = 0; i < rows; i += STRIP) {
        const int64_t some = rows - i < STRIP ? rows - i : STRIP;
        int64_t a = 0;
        for (; a + 3 <= n_out; a += 3)
            dot_rows(3, g + a * ldg + i, ldg, x + i, ldx, n_in, some, out + a * ldo, ldo, i > 0);
        if (n_out - a == 2) dot_rows(2, g + a * ldg + i, ldg, x + i, ldx, n_in, some, out + a * ldo, ldo, i > 0);
        if (n_out - a == 1) dot_rows(1, g + a * ldg + i, ldg, x + i, ldx, n_in, some, out + a * ldo, ldo, i > 0);
    }
}

/* out[i] = sum over e of w[places[e]] * x[from[e]][i], for V vectors of columns. */
INLINE void few(const int V, const float *w, const int64_t *places, const int64_t *from, int64_t count,
                const float *x, int64_t ldx, float *out) {
    lanes sum[SPAN];
    for (int v = 0; v < V; v++) sum[v] = all(0.0f);
    for (int64_t e = 0; e < count; e++) {
        const float weight = w[places ? places[e] : e];
        const float *column = x + from[e] * ldx;
        for (int v = 0; v < V; v++) sum[v] += weight * load(column + v * WIDTH);
    }
    for (int v = 0; v < V; v++) store(out + v * WIDTH, sum[v]);
}

/* A product of which few weights are stored: for n_out outputs, those in places starts[o] up to starts[o + 1]. */
static void multiply_few(const float *w, const int64_t *starts, const int64_t *places, const int64_t *from,
                         int64_t n_out, const float *x, int64_t ldx, float *out, int64_t rows) {
    int64_t i = 0;
    for (; i + SPAN * WIDTH <= rows; i += SPAN * WIDTH)
        for (int64_t o = 0; o < n_out; o++) {
            const int64_t at = starts[o];
            few(SPAN, places ? w : w + at, places ? places + at : 0, from + at, starts[o + 1] - at, x + i, ldx,
                out + o * rows + i);
        }
    for (; i < rows; i += WIDTH)
        for (int64_t o = 0; o < n_out; o++) {
            const int64_t at = starts[o];
            few(1, places ? w : w + at, places ? places + at : 0, from + at, starts[o + 1] - at, x + i, ldx,
                out + o * rows + i);
        }
}

/* out[e] (+)= sum over i of g[i] * x[from[e]][i], for B weights of one output. */
INLINE void few_dots(const int B, const float *g, const int64_t *from, const float *x, int64_t ldx, int64_t rows,
                     float *out, int add) {
    lanes sum[SPAN];
    const float *column[SPAN];
    for (int b = 0; b < B; b++) {
        sum[b] = all(0.0f);
        column[b] = x + from[b] * ldx;
    }
    for (int64_t i = 0; i < rows; i += WIDTH) {
        const lanes slope = held(load(g + i));
        for (int b = 0; b < B; b++) sum[b] += slope * load(column[b] + i);
    }
    for (int b = 0; b < B; b++) out[b] = (add ? out[b] : 0.0f) + total(sum[b]);
}

/* Gradient of the stored weights of one output. */
static void outer_few(const float *g, const int64_t *from, int64_t count, const float *x, int64_t ldx, int64_t rows,
                      float *out) {
    for (int64_t i = 0; i < rows; i += STRIP) {
        const int64_t some = rows - i < STRIP ? rows - i : STRIP;
        int64_t e = 0;
        for (; e + SPAN <= count; e += SPAN) few_dots(SPAN, g + i, from + e, x + i, ldx, some, out + e, i > 0);
        for (; e + 2 <= count; e += 2) few_dots(2, g + i, from + e, x + i, ldx, some, out + e, i > 0);
        if (e < count) few_dots(1, g + i, from + e, x + i, ldx, some, out + e, i > 0);
    }
}

/* The place of a row's first weight, and the number of its weights, the bias included. */
INLINE int64_t row_start(const Layer *layer, int64_t r) { return layer->starts ? layer->starts[r] : r * layer->cols; }
INLINE int64_t row_length(const Layer *layer, int64_t r) {
    return layer->starts ? layer->starts[r + 1] - layer->starts[r] : layer->cols;
}

/* Sums -> values: inside the bounds, rounded down. */
static void activate(const Level *level, const Layer *layer, int64_t rows) {
    for (int64_t r = layer->features; r < layer->features + layer->rows; r++) {
        const float *sums = level->sums + r * rows;
        float *values = level->values + r * rows;
        const float low = level->low[r], high = level->high[r];
        for (int64_t i = 0; i < rows; i++) {
            float value = sums[i] < high ? sums[i] : high;
            value = value > low ? value : low;
            values[i] = floorf(value);
        }
    }
}

INLINE lanes inside(lanes gradient, lanes sums, lanes low, lanes high, lanes leak) {
    return pick((sums >= low) & (sums <= high), gradient, gradient * leak);
}

/* Gradient at the values -> at the sums of one feature; returns its sum, the bias's gradient. */
static float through_bounds(float *gradient, const float *sums, float low, float high, float leak, int64_t rows) {
    const lanes bottom = all(low), top = all(high), through = all(leak);
    lanes sum = all(0.0f);
    for (int64_t i = 0; i < rows; i += WIDTH) {
        const lanes here = inside(load(gradient + i), load(sums + i), bottom, top, through);
        store(gradient + i, here);
        sum += here;
    }
    return total(sum);
}

static float mean_of(const float *sums, int64_t rows) {
    lanes sum = all(0.0f);
    for (int64_t i = 0; i < rows; i += WIDTH) sum += load(sums + i);
    return total(sum) / (float)rows;
}

/* Gradient at normalised sums -> at the sums before; sum is that of the gradient. */
static void through_norm(const Level *level, int64_t r, float sum, int64_t rows) {
    float *gradient = level->gradient + r * rows;
    const float *sums = level->sums + r * rows;
    const lanes mean = all(mean_of(sums, rows));
    lanes squares = all(0.0f), products = all(0.0f);
    for (int64_t i = 0; i < rows; i += WIDTH) {
        const lanes centred = load(sums + i) - mean;
        squares += centred * centred;
        products += load(gradient + i) * centred;
    }
    float variance = total(squares) / (float)rows;
    variance = variance > 1e-6f ? variance : 1e-6f;
    const float along = total(products) / (float)rows, across = sum / (float)rows;
    level->gain_gradient[r] = along / sqrtf(variance);
    level->shift_gradient[r] = across;
    const lanes slope = all(along / variance), shift = all(across);
    for (int64_t i = 0; i < rows; i += WIDTH) {
        const lanes centred = load(sums + i) - mean;
        store(gradient + i, (load(gradient + i) - shift) - centred * slope);
    }
}

/* Move the running mean and deviation of one feature towards what makes its sums normal. */
static void measure(const Level *level, int64_t r, const float *latent, const float *unit, int64_t cols,
                    float momentum, int64_t rows) {
    const float *sums = level->sums + r * rows;
    float *running = level->running + 2 * r;
    const float mean = mean_of(sums, rows);
    const lanes middle = all(mean);
    lanes squares = all(0.0f);
    for (int64_t i = 0; i < rows; i += WIDTH) {
        const lanes centred = load(sums + i) - middle;
        squares += centred * centred;
    }
    const float deviation = sqrtf(total(squares) / (float)rows), wanted = level->gain[r] * level->unit[r];
    const float error = mean - 0.5f * level->shift[r] * level->unit[r];
    float spread = 0.0f, ratio = deviation / wanted;
    for (int64_t c = 0; c < cols; c++) spread += (latent[c] * unit[c]) * (latent[c] * unit[c]);
    ratio = ratio < 0.25f ? 0.25f : ratio > 4.0f ? 4.0f : ratio;
    const float least = wanted * sqrtf(spread) / level->reach[r], scaled = running[1] * powf(ratio, momentum);
    running[0] += momentum * error * running[1] / wanted;
    running[1] = scaled > least ? scaled : least;
}

/* Levels from number `top` down to `bottom` of all networks, one network after the other.
 * inputs: one matrix an input copy, its rows `apart` numbers apart. momentum: 0 measures nothing. */
void forward(const Level *levels, const Trained *trained, int64_t top, int64_t bottom, const float *const *inputs,
             int64_t apart, float momentum, int64_t rows, float *panel) {
    for (int64_t j = 0; j < levels[bottom].count; j++)
        for (int64_t k = top; k >= bottom; k--) {
            const Level *level = levels + k;
            if (j >= level->count) continue;
            const Layer *layer = level->layers + j;
            const float *x = layer->first ? inputs[layer->source] : levels[k + 1].values + layer->source * rows;
            const float *weights = trained->weights + layer->weights;
            float *sums = level->sums + layer->features * rows;
            const int64_t ldx = layer->first ? apart : rows;
            if (layer->starts)
                multiply_few(weights, layer->starts, 0, layer->columns, layer->rows, x, ldx, sums, rows);
            else
                multiply(weights, layer->cols, 1, layer->rows, layer->cols, x, ldx, sums, rows, panel);
            if (momentum > 0.0f && level->active)
                for (int64_t r = 0; r < layer->n_out; r++)
                    if (level->active[layer->features + r] > 0.0f) {
                        const int64_t at = layer->weights + row_start(layer, r);
                        measure(level, layer->features + r, trained->latent + at, trained->unit + at,
                                row_length(layer, r), momentum, rows);
                    }
            if (level->bounded) activate(level, layer, rows);
        }
}

/* Gradients of levels `top` up to `bottom` (counted from the output), networks one after the other. */
void backward(const Level *levels, const Trained *trained, int64_t top, int64_t bottom, const float *const *inputs,
              int64_t apart, float leak, int64_t rows, float *panel) {
    for (int64_t j = 0; j < levels[top].count; j++)
        for (int64_t k = top; k <= bottom && j < levels[k].count; k++) {
            const Level *level = levels + k;
            const Layer *layer = level->layers + j;
            float *slopes = trained->gradient + layer->weights;
            float *gradient = level->gradient + layer->features * rows;
            for (int64_t o = 0; o < layer->n_out; o++) {
                const int64_t r = layer->features + o;
                const float low = level->bounded ? level->low[r] : -INFINITY;
                const float high = level->bounded ? level->high[r] : INFINITY;
                float sum = through_bounds(level->gradient + r * rows, level->sums + r * rows, low, high, leak, rows);
                if (level->active && level->active[r] > 0.0f) {
                    through_norm(level, r, sum, rows);
                    sum = 0.0f; /* its bias is the normalisation's */
                }
                slopes[row_start(layer, o) + row_length(layer, o) - 1] = sum;
            }
            const float *x = layer->first ? inputs[layer->source] : levels[k + 1].values + layer->source * rows;
            const float *weights = trained->weights + layer->weights;
            float *before = layer->first ? 0 : levels[k + 1].gradient + layer->source * rows;
            const int64_t ldx = layer->first ? apart : rows;
            if (layer->starts) {
                for (int64_t o = 0; o < layer->n_out; o++) {
                    const int64_t at = layer->starts[o];
                    outer_few(gradient + o * rows, layer->columns + at, row_length(layer, o) - 1, x, ldx, rows,
                              slopes + at);
                }
                if (before)
                    multiply_few(weights, layer->column_starts, layer->column_places, layer->column_rows,
                                 layer->cols - 1, gradient, rows, before, rows);
                continue;
            }
            outer(gradient, rows, layer->n_out, x, ldx, layer->cols - 1, rows, slopes, layer->cols);
            if (before)
                multiply(weights, 1, layer->cols, layer->cols - 1, layer->n_out, gradient, rows, before, rows, panel);
        }
}

/* Weights and biases of a normalised row, counted: divided by its deviation, shifted by its mean. */
static void fold(const Level *level, int64_t r, float *counted, int64_t cols) {
    const float mean = level->running[2 * r], deviation = level->running[2 * r + 1];
    const float factor = level->gain[r] * level->unit[r] / deviation;
    for (int64_t c = 0; c < cols; c++) counted[c] *= factor;
    counted[cols - 1] =
        level->scale[r] * (0.5f * level->shift[r] - level->gain[r] * mean / deviation) * level->bias_unit[r];
}

/* The power of two nearest to a number, with its sign; of two equally near ones the larger, of 0 it is 0. */
INLINE float nearest_power(float number) {
    union {
        float number;
        uint32_t bits;
    } u = {number};
    u.bits = (((u.bits & 0x7fffffffu) + 0x00400000u) & 0x7f800000u) | (u.bits & 0x80000000u);
    return u.number;
}

/* Whole numbers -> the sums of their first signed digits, as many as each may have. rest: scratch. */
static void keep_digits(const float *digits, int64_t most, float *restrict whole, float *restrict rest, int64_t count) {
    for (int64_t i = 0; i < count; i++) rest[i] = whole[i];
    for (int64_t place = 0; place < most; place++)
        for (int64_t i = 0; i < count; i++) rest[i] -= (float)place < digits[i] ? nearest_power(rest[i]) : 0.0f;
    for (int64_t i = 0; i < count; i++) whole[i] -= digits[i] <= (float)most ? rest[i] : 0.0f;
}

/* Trained numbers -> whole ones on the weights' grids -> the numbers that products take. */
void quantise(const Level *levels, int64_t depth, const Trained *t) {
    float *restrict whole = t->integers, *restrict weights = t->weights;
    for (int64_t i = 0; i < t->n_weights; i++) whole[i] = t->latent[i] * t->unit[i];
    for (int64_t k = 0; k < depth; k++) {
        const Level *level = levels + k;
        for (int64_t j = 0; level->active && j < level->count; j++) {
            const Layer *layer = level->layers + j;
            for (int64_t o = 0; o < layer->n_out; o++)
                if (level->active[layer->features + o] > 0.0f)
                    fold(level, layer->features + o, whole + layer->weights + row_start(layer, o),
                         row_length(layer, o));
        }
    }
    for (int64_t i = 0; i < t->n_weights; i++) {
        float value = floorf(whole[i] + 0.5f);
        value = value > t->low[i] ? value : t->low[i];
        value = value < t->high[i] ? value : t->high[i];
        whole[i] = value;
    }
    if (t->most_digits > 0) keep_digits(t->digits, t->most_digits, whole, weights, t->n_weights);
    for (int64_t i = 0; i < t->n_weights; i++) weights[i] = t->offset[i] + whole[i] * t->kept_factor[i];
}

/* One step of AdamW; decay: what is left of a weight; size: the step, bias corrections included. */
void update(const Trained *t, float beta1, float beta2, float decay, float size) {
    float *restrict latent = t->latent, *restrict mean = t->mean, *restrict square = t->square;
    const float *restrict gradient = t->gradient, *restrict floor = t->floor, *restrict ceiling = t->ceiling;
    const float share1 = 1.0f - beta1, share2 = 1.0f - beta2;
    for (int64_t i = 0; i < t->n_weights; i++) latent[i] *= decay;
    for (int64_t i = 0; i < t->n_trained; i++) {
        mean[i] += share1 * (gradient[i] - mean[i]);
        square[i] = beta2 * square[i] + share2 * gradient[i] * gradient[i];
        float value = latent[i] - size * mean[i] / (sqrtf(square[i]) + 1e-12f);
        value = value > floor[i] ? value : floor[i];
        latent[i] = value < ceiling[i] ? value : ceiling[i];
    }
}

/* exp of numbers up to 0, to about the last bit: a power of two times a polynomial of the rest. */
INLINE lanes exponential(lanes x) {
    x = pick(x > -87.0f, x, all(-87.0f));
    const lanes power = x * 1.44269504f - 0.5f; /* truncated towards zero: the nearest whole number */
    const flags whole = __builtin_convertvector(power, flags);
    const lanes n = __builtin_convertvector(whole, lanes);
    const lanes rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    lanes value = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    value = value * rest + 8.3334519073e-3f;
    value = value * rest + 4.1665795894e-2f;
    value = value * rest + 1.6666665459e-1f;
    value = value * rest + 5.0000001201e-1f;
    value = value * rest * rest + rest + 1.0f;
    return value * (lanes)((whole + 127) << 23);
}

/* Softmax and cross entropy: their gradient at the outputs, and that of the temperature's logarithm.
 * logits, gradient: networks x outputs x batch rows; targets: outputs x rows, `apart` numbers apart.
 * temperature, log_temperature: one a network; shares: scratch for outputs x WIDTH numbers. */
void cross_entropy(const float *logits, const float *targets, int64_t apart, const float *temperature,
                   const float *log_temperature, float *gradient, float *scale_gradient, int64_t networks,
                   int64_t outputs, int64_t rows, int64_t weighted, float *shares) {
    for (int64_t j = 0; j < networks; j++) {
        const float *answers = logits + j * outputs * rows;
        float *slopes = gradient + j * outputs * rows;
        const float scale = temperature[j] * (float)exp((double)log_temperature[j]);
        lanes moved = all(0.0f);
        for (int64_t i = 0; i < rows; i += WIDTH) {
            lanes most = load(answers + i) * scale;
            for (int64_t o = 0; o < outputs; o++) {
                const lanes here = load(answers + o * rows + i) * scale;
                store(shares + o * WIDTH, here);
                most = pick(here > most, here, most);
            }
            lanes sum = all(0.0f);
            for (int64_t o = 0; o < outputs; o++) {
                const lanes share = exponential(load(shares + o * WIDTH) - most);
                store(shares + o * WIDTH, share);
                sum += share;
            }
            const lanes inverse = 1.0f / sum;
            const lanes weight = weighted ? load(targets + outputs * apart + i) : all(1.0f);
            for (int64_t o = 0; o < outputs; o++) {
                const lanes share = load(shares + o * WIDTH) * inverse;
                const lanes slope = (share - load(targets + o * apart + i)) * weight;
                store(slopes + o * rows + i, slope);
                moved += slope * (load(answers + o * rows + i) * scale);
            }
        }
        scale_gradient[j] = total(moved);
    }
}

/* Rows in `order` of standardised features (rows x width) -> whole numbers on an input grid, features x rows,
 * and a row of ones below. scale, low, high, step: one a feature. */
void gather(const double *features, int64_t width, const int64_t *order, int64_t rows, const double *scale,
            const double *low, const double *high, const double *step, float *out) {
    for (int64_t begin = 0; begin < rows; begin += PANEL) {
        const int64_t end = begin + PANEL < rows ? begin + PANEL : rows;
        for (int64_t c = 0; c < width; c++)
            for (int64_t i = begin; i < end; i++) {
                double counted = floor(features[order[i] * width + c] * scale[c] + 0.5);
                counted = counted < high[c] ? counted : high[c];
                out[c * rows + i] = (float)((counted > low[c] ? counted : low[c]) * step[c]);
            }
    }
    for (int64_t i = 0; i < rows; i++) out[width * rows + i] = 1.0f;
}
