type Scheme = 'light' | 'dark'

const preference = matchMedia('(prefers-color-scheme: dark)')

let chosen = $state<Scheme>()
let preferred = $state<Scheme>(preference.matches ? 'dark' : 'light')
preference.addEventListener('change', () => (preferred = preference.matches ? 'dark' : 'light'))

/** Light or dark: what the visitor's system says until they choose here. */
export const theme = {
  get scheme(): Scheme {
    return chosen ?? preferred
  },
  toggle(): void {
    chosen = theme.scheme === 'dark' ? 'light' : 'dark'
    document.documentElement.style.colorScheme = chosen
  },
}
