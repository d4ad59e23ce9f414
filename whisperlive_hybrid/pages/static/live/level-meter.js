/** The input level as a bar. */

const FLOOR_DB = -60;
const LOUD_DB = -3;

export class LevelMeter {
  /** @param {HTMLElement} element with role=meter and one child, the bar */
  constructor(element) {
    this.element = element;
    this.bar = element.firstElementChild;
  }

  /** @param {number} db dBFS */
  show(db) {
    const level = Math.max(FLOOR_DB, Math.min(0, db));
    this.bar.style.transform = `scaleX(${(1 - level / FLOOR_DB).toFixed(3)})`;
    this.element.toggleAttribute('data-loud', level > LOUD_DB);
    this.element.setAttribute('aria-valuenow', String(Math.round(level)));
  }

  reset() {
    this.show(FLOOR_DB);
  }
}
