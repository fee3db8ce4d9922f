import { mount } from 'svelte'
import Bench from './Bench.svelte'
import './style.css'

const target = document.querySelector('#app')
if (target) mount(Bench, { target })
