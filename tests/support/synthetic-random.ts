/** Seeded numbers for test inputs: the generator's own. */
export { type SeededRandom, seededRandom } from "../../src/synthetic/random.ts";
